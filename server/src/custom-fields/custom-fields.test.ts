import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { createCustomField } from './custom-fields.ts'

const clock = { now: () => new Date('2026-03-09T18:00:00.123Z') }
const api = useApi({ clock })

async function newList() {
  const { accountId, shortCode } = api.owner
  const { id } = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
  return `/lists/${id}`
}

const size = {
  label: 'Household size',
  key: 'household_size',
  content_type: 'number',
  max_length: 2,
  pattern: '^[0-9]+$',
  should_validate_regex_via_api: true,
  default_value: '1',
}

async function withField(given: object = {}) {
  const list = await newList()
  const response = await api.owner.post(`${list}/custom_fields`, { custom_field: { ...size, ...given } })
  expect(response.text).toContain('"OK"')
  return list
}

const bypassed = { bypass_opt_in_process: true, bypass_opt_in_response: true }
const phone = '2065550143'

function add(list: string, values: object) {
  return api.owner.post(`${list}/subscribers`, { subscriber: { phone_number: phone, ...bypassed, ...values } })
}

describe('a field', () => {
  test('is created, listed and deleted', async () => {
    const list = await newList()
    const made = await api.owner.post(`${list}/custom_fields`, { custom_field: size })
    expect(made).toMatchObject({ status: 201, body: { status: 'OK' } })
    expect(made.body.custom_field).toEqual({
      list_id: Number(list.slice('/lists/'.length)),
      ...size,
      can_insert: true,
      can_segment: true,
      created_at: '2026-03-09T11:00:00.123-07:00',
      updated_at: '2026-03-09T11:00:00.123-07:00',
      mask: null,
    })
    expect((await api.owner.get(`${list}/custom_fields`)).body).toEqual({ status: 'OK', custom_fields: [size] })
    expect(await api.owner.delete(`${list}/custom_fields`, { key: size.key })).toMatchObject({
      status: 200,
      body: { status: 'Custom field successfully deleted' },
    })
    expect((await api.owner.get(`${list}/custom_fields`)).body).toEqual({ status: 'OK', custom_fields: [] })
    expect(await api.owner.delete(`${list}/custom_fields`, { key: size.key })).toMatchObject({
      status: 404,
      body: { error: 'Custom field not found', code: 'custom_field_not_found' },
    })
  })

  test('can be created by the singular path, with required keys only', async () => {
    const list = await newList()
    const custom_field = { label: 'Team', key: 'team', content_type: 'text', max_length: '40' }
    const made = await api.owner.post(`${list}/custom_field`, { custom_field })
    expect(made).toMatchObject({
      status: 201,
      body: {
        custom_field: {
          key: 'team',
          max_length: 40,
          pattern: null,
          default_value: null,
          should_validate_regex_via_api: false,
        },
      },
    })
  })

  test.each([
    ['both names are taken', {}, 'Merge tag has already been taken, Label has already been taken'],
    ['its key is taken', { label: 'Other' }, 'Merge tag has already been taken'],
    ['its label is taken', { key: 'other' }, 'Label has already been taken'],
    ['its key is a standard key of subscribers', { key: 'zip_code', label: 'x' }, 'Merge tag is reserved'],
    ['its key is a flag', { key: 'bypass_opt_in_process', label: 'x' }, 'Merge tag is reserved'],
    ['its key is a column of imports', { key: 'consented_at', label: 'x' }, 'Merge tag is reserved'],
    ['its key is __proto__', { key: '__proto__', label: 'x' }, 'Merge tag is reserved'],
    ['its key has capitals', { key: 'Team' }, 'Merge tag is invalid'],
    ['it has no length', { max_length: undefined }, 'Max. characters must be greater than 0'],
    ['it has a length of null', { max_length: null }, 'Max. characters must be greater than 0'],
    ['its length is 0', { max_length: 0 }, 'Max. characters must be greater than 0'],
    ['its length is too large', { max_length: 10_000 }, 'Max. characters must be less than or equal to 9999'],
    ['its length is not a number', { max_length: 'ten' }, 'Max. characters is not a number'],
    ['its label is blank', { label: ' ' }, "Label can't be blank"],
    ['its pattern does not compile', { key: 'x', label: 'x', pattern: '(' }, 'Pattern is invalid'],
    ['its pattern has a lookahead', { key: 'x', label: 'x', pattern: '(?=a)' }, 'Pattern is invalid'],
    [
      'its pattern is far too large',
      { key: 'x', label: 'x', pattern: '(a?){900}' },
      'Pattern is too large: shorten it, or lower its repetitions',
    ],
    [
      'its pattern is too large',
      { key: 'x', label: 'x', pattern: '(?:a?){300}', should_validate_regex_via_api: false },
      'Pattern is too large: it has 602 instructions (maximum is 500); lower its repetitions, or shorten it',
    ],
    [
      'its pattern is too slow for its length',
      { key: 'x', label: 'x', content_type: 'text', pattern: '(?:a?){200}$|1', max_length: 9_999 },
      'Pattern is too slow for values of 9999 characters: lower max_length to 246, or shorten the pattern',
    ],
    [
      'its default is too long for the pattern',
      {
        key: 'x',
        label: 'x',
        content_type: 'text',
        pattern: '(?:a?){200}$',
        max_length: 9_999,
        should_validate_regex_via_api: false,
        default_value: 'a'.repeat(9_999),
      },
      'Default value is too long for the pattern: shorten one of them',
    ],
    [
      'its default is too long',
      { key: 'x', label: 'x', default_value: '100' },
      'Default value is too long (maximum is 2 characters)',
    ],
    ['its default has another type', { key: 'x', label: 'x', default_value: 'a' }, 'Default value is not a number'],
    [
      'its default does not match',
      { key: 'x', label: 'x', default_value: '-1' },
      'Default value does not match the pattern',
    ],
  ])('is rejected if %s', async (_case, given, error) => {
    const list = await withField()
    const response = await api.owner.post(`${list}/custom_fields`, { custom_field: { ...size, ...given } })
    expect(response).toMatchObject({ status: 422, body: { status: 'error', error: `Validation failed: ${error}` } })
    expect((await api.owner.get(`${list}/custom_fields`)).body.custom_fields).toHaveLength(1)
  })

  test('with an unknown type is rejected with the message of the contract', async () => {
    const custom_field = { ...size, content_type: 'string' }
    expect(await api.owner.post(`${await newList()}/custom_fields`, { custom_field })).toMatchObject({
      status: 422,
      body: { error: 'Content type string not allowed. Allowed types are: text, datetime, number' },
    })
  })

  test('of one list does not conflict with one of another list', async () => {
    await withField()
    await withField()
  })

  test("of another account's list is not found", async () => {
    const list = await withField()
    for (const response of [
      await api.stranger.get(`${list}/custom_fields`),
      await api.stranger.post(`${list}/custom_fields`, { custom_field: { ...size, key: 'x', label: 'x' } }),
      await api.stranger.post(`${list}/custom_field`, { custom_field: { ...size, key: 'x', label: 'x' } }),
      await api.stranger.delete(`${list}/custom_fields`, { key: size.key }),
    ]) {
      expect(response).toMatchObject({ status: 404, body: { error: 'List not found' } })
    }
    expect((await api.owner.get(`${list}/custom_fields`)).body.custom_fields).toHaveLength(1)
  })
})

describe('values', () => {
  test('are presented after the standard keys, with the default for subscribers without one', async () => {
    const list = await withField()
    const { subscriber } = (await add(list, {})).body as { subscriber: object }
    expect(Object.entries(subscriber).at(-1)).toEqual(['household_size', 1])
    const path = `${list}/subscribers/${phone}`
    const changed = await api.owner.put(path, { subscriber: { household_size: '4', unknown_key: 'x' } })
    expect(changed).toMatchObject({ status: 200, body: { subscriber: { household_size: 4 } } })
    expect(changed.body.subscriber).not.toHaveProperty('unknown_key')
    await api.owner.put(path, { subscriber: { first_name: 'Ana' } })
    expect((await api.owner.get(path)).body.subscriber).toMatchObject({ first_name: 'Ana', household_size: 4 })
    const erased = await api.owner.put(path, { subscriber: { household_size: null } })
    expect(erased.body.subscriber).toMatchObject({ household_size: 1 })
  })

  test('can be set by the add, and values of several fields are merged', async () => {
    const list = await withField()
    const text = { label: 'Team', key: 'team', content_type: 'text', max_length: 5 }
    const day = { label: 'Since', key: 'since', content_type: 'datetime', max_length: 30 }
    await api.owner.post(`${list}/custom_fields`, { custom_field: text })
    await api.owner.post(`${list}/custom_fields`, { custom_field: day })
    const added = await add(list, { household_size: 3, since: '2025-03-09' })
    expect(added.body.subscriber).toMatchObject({
      household_size: 3,
      team: null,
      // midnight UTC, in the account's zone
      since: '2025-03-08T16:00:00.000-08:00',
    })
    const put = await api.owner.put(`${list}/subscribers/${phone}`, { subscriber: { team: 'A' } })
    expect(put.body.subscriber).toMatchObject({ household_size: 3, team: 'A', since: '2025-03-08T16:00:00.000-08:00' })
  })

  test.each([
    ['too long', { household_size: '100' }, 'Household size is too long (maximum is 2 characters)'],
    ['not of the type', { household_size: 'x' }, 'Household size is not a number'],
    ['an object', { household_size: {} }, 'Household size is not a number'],
    ['without a match of the pattern', { household_size: '-1' }, 'Household size is invalid'],
  ])('that are %s are rejected, and nothing changes', async (_case, values, error) => {
    const list = await withField()
    const rejected = { status: 422, body: { error: `Validation failed: ${error}` } }
    expect(await add(list, { first_name: 'Eve', ...values })).toMatchObject(rejected)
    expect((await api.owner.get(`${list}/subscribers/${phone}`)).status).toBe(404)
    await add(list, { first_name: 'Ana' })
    const path = `${list}/subscribers/${phone}`
    expect(await api.owner.put(path, { subscriber: { first_name: 'Eve', ...values } })).toMatchObject(rejected)
    expect((await api.owner.get(path)).body.subscriber).toMatchObject({ first_name: 'Ana', household_size: 1 })
  })

  test('need not match a pattern that is not enforced', async () => {
    const list = await withField({ should_validate_regex_via_api: false })
    expect((await add(list, { household_size: '-1' })).body.subscriber).toMatchObject({ household_size: -1 })
  })

  test('of a deleted field are hidden, and are presented again for a field with the same key and type', async () => {
    const list = await withField()
    await add(list, { household_size: 3 })
    const path = `${list}/subscribers/${phone}`
    await api.owner.delete(`${list}/custom_fields`, { key: size.key })
    expect((await api.owner.get(path)).body.subscriber).not.toHaveProperty('household_size')
    const response = await api.owner.put(path, { subscriber: { household_size: 'not a number' } })
    expect(response.status).toBe(200)
    const asText = { ...size, content_type: 'text', default_value: null }
    await api.owner.post(`${list}/custom_fields`, { custom_field: asText })
    expect((await api.owner.get(path)).body.subscriber).toMatchObject({ household_size: null })
    await api.owner.delete(`${list}/custom_fields`, { key: size.key })
    await api.owner.post(`${list}/custom_fields`, { custom_field: size })
    expect((await api.owner.get(path)).body.subscriber).toMatchObject({ household_size: 3 })
  })
})

describe('patterns', () => {
  const large = { label: 'a', key: 'a', content_type: 'text', max_length: 50, should_validate_regex_via_api: true }
  const patternOf = (n: number) => `^[\\p{L} ]{${n},60}$`

  test('that are too large together are rejected, unless they are not enforced', async () => {
    const list = await newList()
    const create = (n: number, given: object = {}) => {
      const custom_field = { ...large, label: `a${n}`, key: `a${n}`, pattern: patternOf(n), ...given }
      return api.owner.post(`${list}/custom_fields`, { custom_field })
    }
    const statuses: number[] = []
    for (let n = 1; n <= 12; n++) statuses.push((await create(n)).status)
    expect(statuses).toEqual([...Array(11).fill(201), 422])
    expect(await create(12)).toMatchObject({
      status: 422,
      body: { error: expect.stringContaining("Pattern is too large beside the list's other patterns") },
    })
    expect((await create(12, { should_validate_regex_via_api: false })).status).toBe(201)
    expect((await create(13, { pattern: '^a' })).status).toBe(201)
  })

  test('of a body with many long values are applied up to a limit', async () => {
    const list = await newList()
    for (let n = 0; n < 8; n++) {
      const custom_field = { ...large, key: `a${n}`, label: `a${n}`, pattern: '(?:a?){200}$', max_length: 245 }
      expect((await api.owner.post(`${list}/custom_fields`, { custom_field })).status).toBe(201)
    }
    const given = Object.fromEntries(Array.from({ length: 8 }, (_, n) => [`a${n}`, 'a'.repeat(240)]))
    const added = await add(list, given)
    expect(added.status).toBe(422)
    expect(Object.values(added.body.details as object)).toEqual(
      Array(3).fill(['is too long to be checked with these other values: send it alone, or shorten it']),
    )
    expect((await add(list, { a7: given.a7 })).status).toBe(201)
  })
})

test('the default values of a list have a maximum length in all', async () => {
  const list = await newList()
  const addField = (key: string, length: number) =>
    api.owner.post(`${list}/custom_fields`, {
      custom_field: { key, label: key, content_type: 'text', max_length: 9_999, default_value: 'x'.repeat(length) },
    })
  for (const key of ['a', 'b']) expect((await addField(key, 9_999)).status).toBe(201)
  const { status, body } = await addField('c', 3)
  expect(status).toBe(422)
  expect(body.error).toContain("Default value is too long beside those of the list's other fields (maximum is 20000")
  expect((await addField('d', 2)).status).toBe(201)
  expect((await addField('e', 0)).status).toBe(201)
})

describe('concurrent creations', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await freshDatabase()
  })
  afterAll(() => database.close())

  test('only one succeeds', async () => {
    const rt = makeRuntime(database)
    const list = await make.list(rt.db)
    const field = {
      key: 'team',
      label: 'Team',
      contentType: 'text',
      maxLength: 5,
      pattern: null,
      defaultValue: null,
      isEnforced: false,
    } as const
    const outcomes = await Promise.allSettled(
      [1, 2, 3, 4].map(() => createCustomField(rt, list.accountId, list.id, field)),
    )
    const rejections = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(rejections).toHaveLength(3)
    for (const { reason } of rejections) {
      expect(reason.message).toBe('Validation failed: Merge tag has already been taken, Label has already been taken')
    }
  })
})
