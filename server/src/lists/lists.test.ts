import { describe, expect, test } from 'vitest'
import { type ApiResponse, useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'

const api = useApi()

type ListBody = { id: number; keyword_names: string[]; counts: object } & Record<string, unknown>
const listOf = (response: ApiResponse) => response.body.list as ListBody

async function create(list: object = {}) {
  return listOf(await api.owner.post('/lists', { list: { name: 'Pantry', ...list } }))
}

describe('creating a list', () => {
  test("requires a name only; the other values have the contract's defaults", async () => {
    const response = await api.owner.post('/lists', { list: { name: 'Pantry' } })
    expect(response.status).toBe(200)
    expect(response.body).toEqual({
      status: 'List created',
      list: {
        id: expect.any(Number),
        name: 'Pantry',
        email_digest: null,
        email_subscribe: null,
        email_unsubscribe: null,
        first_optin_message: '',
        second_optin_message: '',
        message_help: null,
        message_stop: null,
        message_reply: null,
        message_already_subscribed: null,
        message_yes: null,
        keyword_names: [],
        counts: { subscribers: 0, unsubscribed: 0, cleaned: 0 },
        opt_in_type: 'single',
        opt_in_requests: [],
        bypass_opt_in_response: false,
        short_code: api.owner.shortCode.code,
        resend_block_hours: 48,
        resubscribe_timeout_hours: 48,
        scheduled_lateness_minutes: 60,
        quiet_hours: false,
        reject_unreadable_values: false,
        import_events: false,
        send_hours: null,
        when_unknown: 'never_twice',
      },
    })
    expect((await api.owner.get(`/lists/${listOf(response).id}`)).body).toEqual({ ...response.body, status: 'OK' })
  })

  test('stores all given values', async () => {
    const given = {
      name: 'Élan 🙏 of twenty-five chars'.slice(0, 26),
      message_yes: 'Reply YES',
      message_help: 'Help!',
      message_stop: 'Bye',
      message_reply: 'Thanks',
      message_already_subscribed: 'You are in',
      first_optin_message: 'Welcome',
      second_optin_message: 'Welcome back',
      email_digest: 'ops@cedar.example',
      email_subscribe: true,
      email_unsubscribe: 'ops@cedar.example',
    }
    expect(await create({ ...given, keyword_names: ['pantry', 'Food', 'FOOD'] })).toMatchObject({
      ...given,
      keyword_names: ['FOOD', 'PANTRY'],
    })
  })

  test('accepts null for no welcome text, and ignores unknown keys', async () => {
    expect(await create({ first_optin_message: null, color: 'red' })).toMatchObject({ first_optin_message: '' })
  })

  test.each([
    ['no name', {}, "Validation failed: Name can't be blank"],
    ['a blank name', { name: '  ' }, "Validation failed: Name can't be blank"],
    ['a null name', { name: null }, 'Validation failed: Name must be a string'],
    ['26 characters', { name: 'a'.repeat(26) }, 'Validation failed: Name is too long (maximum is 25 characters)'],
    ['a number as text', { name: 'a', message_yes: 5 }, 'Validation failed: Message yes must be a string or null'],
    [
      'two faults',
      { name: 7, message_help: {} },
      'Validation failed: Name must be a string, Message help must be a string or null',
    ],
    [
      'words that are none',
      { name: 'a', keyword_names: 'PANTRY' },
      'Validation failed: Keyword names must be an array or null',
    ],
    [
      'a keyword that is a number',
      { name: 'a', keyword_names: [1] },
      'Validation failed: Keyword names must be a string',
    ],
  ])('rejects %s', async (_case, list, error) => {
    const response = await api.owner.post('/lists', { list })
    expect(response.status).toBe(422)
    expect(response.body).toMatchObject({ status: 'error', error, code: 'invalid', details: expect.any(Object) })
  })

  test('responds with a single error to half a million invalid keywords', async () => {
    const response = await api.owner.post('/lists', { list: { name: 'a', keyword_names: Array(400_000).fill(1) } })
    expect(response).toMatchObject({
      status: 422,
      body: { error: 'Validation failed: Keyword names has too many items (maximum is 100)' },
    })
  })

  test('accepts a form with one keyword as a plain field', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const payload = 'list[name]=Pantry+of+Hope&list[keyword_names]=PIZZA&list[email_subscribe]='
    expect(listOf(await api.owner.post('/lists', undefined, { headers, payload }))).toMatchObject({
      name: 'Pantry of Hope',
      keyword_names: ['PIZZA'],
      email_subscribe: '',
    })
  })

  test('counts 25 characters, not bytes or halves of a surrogate pair', async () => {
    expect(await create({ name: '🙏'.repeat(25) })).toMatchObject({ name: '🙏'.repeat(25) })
  })

  test('requires a short code to send from', async () => {
    await api.db.exec('drop', 'delete from short_codes where account_id = $1', [api.owner.accountId])
    const response = await api.owner.post('/lists', { list: { name: 'a' } })
    expect(response).toMatchObject({ status: 422, body: { code: 'no_short_code' } })
  })
})

describe('settings that the vendor offers only in its web product', () => {
  test('can be set on a new list, and changed', async () => {
    const second = await make.shortCode(api.db, { accountId: api.owner.accountId })
    const settings = {
      short_code: second.code,
      resend_block_hours: 0,
      resubscribe_timeout_hours: 720,
      scheduled_lateness_minutes: 5,
      when_unknown: 'never_miss',
    }
    const { id } = await create(settings)
    expect((await api.owner.get(`/lists/${id}`)).body.list).toMatchObject(settings)
    const change = { short_code: api.owner.shortCode.code, resend_block_hours: 48 }
    const response = await api.owner.put(`/lists/${id}`, { list: change })
    expect(response.body.list).toMatchObject({ ...change, resubscribe_timeout_hours: 720 })
  })

  test.each([
    ['resend_block_hours', 49, 'must be less than or equal to 48'],
    ['resend_block_hours', -1, 'must be greater than or equal to 0'],
    ['resend_block_hours', 1.5, 'must be an integer'],
    ['resend_block_hours', null, 'must be an integer'],
    ['resubscribe_timeout_hours', 721, 'must be less than or equal to 720'],
    ['scheduled_lateness_minutes', 0, 'must be greater than or equal to 1'],
    ['when_unknown', 'sometimes', 'is not included in the list'],
    ['short_code', 88222, 'must be a string'],
    ['short_code', 'none', 'is not one of the account'],
    ['short_code', '', 'is not one of the account'],
  ])('%s cannot be %j', async (key, value, fault) => {
    const { id } = await create()
    for (const response of [
      await api.owner.put(`/lists/${id}`, { list: { [key]: value } }),
      await api.owner.post('/lists', { list: { name: 'b', [key]: value } }),
    ]) {
      expect(response).toMatchObject({ status: 422, body: { details: { [`list.${key}`]: [fault] } } })
    }
  })

  test("do not accept another account's short code", async () => {
    const response = await api.owner.post('/lists', { list: { name: 'b', short_code: api.stranger.shortCode.code } })
    expect(response).toMatchObject({
      status: 422,
      body: { error: 'Validation failed: Short code is not one of the account' },
    })
  })

  test('move the keywords with the list to another short code, or neither', async () => {
    const second = await make.shortCode(api.db, { accountId: api.owner.accountId })
    const { id } = await create({ keyword_names: ['PIZZA', 'SALAD'] })
    const other = await create({ short_code: second.code, keyword_names: ['SALAD'] })
    const rejected = await api.owner.put(`/lists/${id}`, { list: { name: 'Moved', short_code: second.code } })
    expect(rejected).toMatchObject({ status: 422, body: { error: 'invalid keyword names: SALAD' } })
    const there = await api.owner.get(`/lists/${id}`)
    expect(there.body.list).toMatchObject({
      name: 'Pantry',
      short_code: api.owner.shortCode.code,
      keyword_names: ['PIZZA', 'SALAD'],
    })

    await api.owner.put(`/lists/${other.id}/keywords`, { keyword_names: [] })
    const moved = await api.owner.put(`/lists/${id}`, { list: { short_code: second.code } })
    expect(moved.body.list).toMatchObject({ short_code: second.code, keyword_names: ['PIZZA', 'SALAD'] })
    // the keyword is free on the former short code
    expect(await create({ keyword_names: ['PIZZA'] })).toMatchObject({ short_code: api.owner.shortCode.code })
  })
})

describe('changing a list', () => {
  test('changes only the given keys', async () => {
    const { id, ...before } = await create({
      message_yes: 'Reply YES',
      message_help: 'Help!',
      keyword_names: ['PIZZA'],
    })
    const response = await api.owner.put(`/lists/${id}`, {
      list: { name: 'Bakery', message_help: null, keyword_names: ['SALAD'] },
    })
    expect(response.status).toBe(200)
    expect(response.body).toEqual({ status: 'OK', list: { id, ...before, name: 'Bakery', message_help: null } })
    expect((await api.owner.get(`/lists/${id}`)).body).toEqual(response.body)
  })

  test('changes nothing if a value is rejected', async () => {
    const { id } = await create()
    expect((await api.owner.put(`/lists/${id}`, { list: { message_help: 'x', name: '' } })).status).toBe(422)
    expect((await api.owner.get(`/lists/${id}`)).body.list).toMatchObject({ name: 'Pantry', message_help: null })
  })
})

test('a deleted list is not found by any operation', async () => {
  const { id } = await create()
  expect((await api.owner.delete(`/lists/${id}`)).body).toEqual({ status: 'List Destroyed' })
  for (const response of [
    await api.owner.get(`/lists/${id}`),
    await api.owner.put(`/lists/${id}`, { list: {} }),
    await api.owner.delete(`/lists/${id}`),
  ]) {
    expect(response).toMatchObject({
      status: 404,
      body: { status: 'error', error: 'List not found', code: 'list_not_found' },
    })
  }
  expect((await api.owner.get('/lists')).body).toMatchObject({ count: 0, lists: [] })
})

test("another account's list is not found, and does not change", async () => {
  const { id } = await create({ keyword_names: ['PIZZA'] })
  for (const response of [
    await api.stranger.get(`/lists/${id}`),
    await api.stranger.put(`/lists/${id}`, { list: { name: 'mine' } }),
    await api.stranger.delete(`/lists/${id}`),
  ]) {
    expect(response).toMatchObject({ status: 404, body: { error: 'List not found' } })
  }
  expect((await api.owner.get(`/lists/${id}`)).body.list).toMatchObject({ name: 'Pantry', keyword_names: ['PIZZA'] })
})

test.each(['0', '-1', 'abc', '1.5', '1e3', '99999999999999999999', '%00', '9007199254740993'])(
  'responds with 404 for %s as a list id',
  async (id) => {
    expect(await api.owner.get(`/lists/${id}`)).toMatchObject({ status: 404, body: { error: 'List not found' } })
  },
)

test('lists are returned in pages, with the sums of base counts and deltas', async () => {
  const ids: number[] = []
  for (const name of ['a', 'b', 'c']) ids.push((await create({ name })).id)
  const [first = 0] = ids
  await api.db.exec('base', 'update lists set subscribed_count = 5, cleaned_count = 1 where id = $1', [first])
  await api.db.exec(
    'deltas',
    'insert into list_deltas (list_id, prefix, subscribed, unsubscribed) values ($1, 20655, -1, 1), ($1, 20655, -1, 1)',
    [first],
  )
  const response = await api.owner.get('/lists?per_page=2')
  expect(response.body).toMatchObject({ status: 'OK', per_page: 2, count: 3, page: 1, pages_count: 2 })
  const lists = response.body.lists as ListBody[]
  expect(lists.map(({ id }) => id)).toEqual(ids.slice(0, 2))
  expect(lists[0]?.counts).toEqual({ subscribers: 3, unsubscribed: 2, cleaned: 1 })
  const rest = await api.owner.get('/lists?page=2&per_page=2')
  expect((rest.body.lists as ListBody[]).map(({ id }) => id)).toEqual(ids.slice(2))
})

test('short codes are listed as strings', async () => {
  const second = await make.shortCode(api.db, { accountId: api.owner.accountId })
  expect((await api.owner.get('/shortcodes')).body).toEqual({
    status: 'OK',
    shortcodes: [api.owner.shortCode.code, second.code],
  })
})
