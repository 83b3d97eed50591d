import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { drainJobs } from '../jobs/boss.ts'
import { applyChanges } from './subscribers.jobs.ts'
import { readTags } from './tags.schema.ts'

const api = useApi()
const [ana, ben, cem, optedOut] = ['2065550141', '2065550142', '2065550143', '2065550144'] as const

/** A list with three subscribers and one that opted out, each with the tags a and b. */
async function newList(tags: string | string[] = 'a,b') {
  const { accountId, shortCode } = api.owner
  const { id } = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
  for (const phone of [ana, ben, cem, optedOut]) {
    const state = phone === optedOut ? ('unsubscribed' as const) : ('subscribed' as const)
    await make.subscriber(api.db, { listId: id, phone: Number(phone), state })
    await api.owner.put(`/lists/${id}/subscribers/${phone}`, { subscriber: { tags } })
  }
  return `/lists/${id}`
}

async function tagsOf(list: string, phone: string) {
  return ((await api.owner.get(`${list}/subscribers/${phone}`)).body.subscriber as { tags: string[] }).tags
}

const drain = () => drainJobs(api.rt, [applyChanges])

describe('removing tags from one subscriber', () => {
  test('removes the tags, and lists the removed ones', async () => {
    const list = await newList()
    const path = `${list}/subscribers/${ana}/tags`
    expect((await api.owner.delete(path, { tags: ['b', 'nope', 'b'] })).body).toEqual({
      status: 'OK',
      deleted: ['b'],
      not_found: ['nope'],
      message: 'Tag removal completed with partial success.',
    })
    expect(await tagsOf(list, ana)).toEqual(['a'])
    expect((await api.owner.delete(path, { tags: ' a ' })).body).toEqual({
      status: 'OK',
      deleted: ['a'],
      not_found: [],
      message: 'Tag removal completed successfully.',
    })
    expect(await tagsOf(list, ana)).toEqual([])
    expect(await tagsOf(list, ben)).toEqual(['a', 'b'])
  })

  test('is case-sensitive', async () => {
    const list = await newList()
    const response = await api.owner.delete(`${list}/subscribers/${ana}/tags`, { tags: ['A'] })
    expect(response.body).toMatchObject({ deleted: [], not_found: ['A'] })
  })

  test.each([[[]], [''], [' , '], [['']]])('rejects %j as tags', async (tags) => {
    const list = await newList()
    expect(await api.owner.delete(`${list}/subscribers/${ana}/tags`, { tags })).toMatchObject({
      status: 422,
      body: { error: "Validation failed: Tags can't be blank" },
    })
  })

  test.each(['2065550149', 'abc'])('responds with 404 for the number %s', async (phone) => {
    expect(await api.owner.delete(`${await newList()}/subscribers/${phone}/tags`, { tags: ['a'] })).toMatchObject({
      status: 404,
      body: { error: 'Subscriber not found' },
    })
  })
})

describe('bulk tagging', () => {
  test('adds tags to subscribed numbers, and lists the others', async () => {
    const list = await newList()
    // besides the landline of the sandbox, a landline by its look-up
    await api.db.exec(
      'a_known_landline',
      `insert into number_look_ups (phone, kind, looked_up_at) values (2065550147, 'landline', now())`,
    )
    const response = await api.owner.post(`${list}/bulk_taggings`, {
      bulk_tagging: {
        phone_numbers: [
          ana,
          '+1 (206) 555-0142',
          2065550142,
          optedOut,
          '2065550149',
          '12',
          'x',
          '206-555-0100',
          '2065550147',
        ],
        tags: ['gala', ' a ', 'gala'],
      },
    })
    expect(response.status).toBe(200)
    expect(response.body).toEqual({
      status: 'Bulk tagging operation queued successfully.',
      number_count: 9,
      tag_count: 2,
      subscribers_to_update: 2,
      replace_tags: false,
      not_subscribed: [optedOut, '2065550149'],
      invalid_numbers: ['12', 'x', '2065550100', '2065550147'],
    })
    expect(await tagsOf(list, ana)).toEqual(['a', 'b'])
    await drain()
    expect(await tagsOf(list, ana)).toEqual(['a', 'b', 'gala'])
    expect(await tagsOf(list, ben)).toEqual(['a', 'b', 'gala'])
    expect(await tagsOf(list, cem)).toEqual(['a', 'b'])
    expect(await tagsOf(list, optedOut)).toEqual(['a', 'b'])
  })

  test('accepts keys without an envelope, and omits empty lists', async () => {
    const list = await newList()
    const response = await api.owner.post(`${list}/bulk_taggings`, {
      phone_numbers: [ana],
      tags: 'x, y',
      replace_tags: '1',
    })
    expect(response.body).toEqual({
      status: 'Bulk tagging operation queued successfully.',
      number_count: 1,
      tag_count: 2,
      subscribers_to_update: 1,
      replace_tags: true,
    })
    await drain()
    expect(await tagsOf(list, ana)).toEqual(['x', 'y'])
  })

  test('removes all tags when they are replaced by none', async () => {
    const list = await newList()
    await api.owner.post(`${list}/bulk_taggings`, { bulk_tagging: { phone_numbers: [ana, ben], replace_tags: true } })
    await drain()
    expect([await tagsOf(list, ana), await tagsOf(list, ben), await tagsOf(list, cem)]).toEqual([[], [], ['a', 'b']])
  })

  test.each([
    [
      'more than 50 tags',
      { tags: Array.from({ length: 51 }, (_, n) => `t${n}`) },
      'Tags has too many items (maximum is 50)',
    ],
    [
      'more than 50 tags in one string',
      { tags: Array.from({ length: 51 }, (_, n) => n).join() },
      'Tags has too many items (maximum is 50)',
    ],
    ['no tags', { tags: [] }, "Tags can't be blank"],
    ['a long tag', { tags: ['x'.repeat(256)] }, 'Tags is too long (maximum is 255 characters)'],
    [
      'more than 1000 numbers',
      { phone_numbers: Array.from({ length: 1_001 }, (_, n) => 2_065_550_000 + n) },
      'Phone numbers has too many items (maximum is 1000)',
    ],
    ['no numbers', { phone_numbers: [] }, "Phone numbers can't be blank"],
    ['objects as numbers', { phone_numbers: [{}] }, 'Phone numbers must be a string or an integer'],
  ])('rejects %s', async (_case, given, error) => {
    const list = await newList()
    const bulk_tagging = { phone_numbers: [ana], tags: ['x'], ...given }
    for (const body of [{ bulk_tagging }, bulk_tagging]) {
      expect(await api.owner.post(`${list}/bulk_taggings`, body)).toMatchObject({
        status: 422,
        body: { error: `Validation failed: ${error}` },
      })
    }
    await drain()
    expect(await tagsOf(list, ana)).toEqual(['a', 'b'])
  })
})

test('the former operation adds tags immediately', async () => {
  const list = await newList()
  const body = { phone_numbers: [ana, optedOut, '2065550149', 'x'], tags: ['b', 'driver'] }
  expect(await api.owner.post(`${list}/subscribers/add_tags`, body)).toMatchObject({
    status: 200,
    body: { status: 'Tags were applied' },
  })
  expect(await tagsOf(list, ana)).toEqual(['a', 'b', 'driver'])
  expect(await tagsOf(list, optedOut)).toEqual(['a', 'b', 'driver'])
  expect(await tagsOf(list, ben)).toEqual(['a', 'b'])
})

test('tags are removed from all subscribers of the list, and of no other list', async () => {
  const list = await newList('a,b,c')
  const other = await newList('a,b,c')
  const response = await api.owner.delete(`${list}/tags`, { tags: ['c', 'a', 'nope'] })
  expect(response).toMatchObject({ status: 200, body: { status: 'Tags enqueued for deletion' } })
  await drain()
  for (const phone of [ana, ben, cem, optedOut]) expect(await tagsOf(list, phone)).toEqual(['b'])
  expect(await tagsOf(other, ana)).toEqual(['a', 'b', 'c'])
})

test('changes are applied in the order of the requests', async () => {
  const list = await newList()
  await api.owner.post(`${list}/bulk_taggings`, { phone_numbers: [ana], tags: ['x'] })
  await api.owner.delete(`${list}/tags`, { tags: ['x', 'a'] })
  await api.owner.put(`${list}/subscribers/${ana}/async`, {
    subscriber: { first_name: 'Ana', gender: 'Female', tags: 'z' },
  })
  await api.owner.post(`${list}/bulk_taggings`, { phone_numbers: [ana], tags: ['a'] })
  await api.owner.put(`${list}/subscribers/${ana}/async`, { subscriber: { gender: null } })
  await drain()
  expect(await tagsOf(list, ana)).toEqual(['b', 'z', 'a'])
  expect((await api.owner.get(`${list}/subscribers/${ana}`)).body.subscriber).toMatchObject({
    first_name: 'Ana',
    gender: null,
  })
})

describe('a deferred update', () => {
  test('responds before the change is applied', async () => {
    const list = await newList()
    const path = `${list}/subscribers/${ana}`
    expect(await api.owner.put(`${path}/async`, { subscriber: { first_name: 'Ana' } })).toMatchObject({
      status: 200,
      body: { status: 'Subscriber update is being processed.' },
    })
    expect((await api.owner.get(path)).body.subscriber).toMatchObject({ first_name: '' })
    await drain()
    expect((await api.owner.get(path)).body.subscriber).toMatchObject({ first_name: 'Ana', tags: ['a', 'b'] })
  })

  test('rejects the same bodies as the immediate update', async () => {
    const list = await newList()
    const path = `${list}/subscribers`
    expect((await api.owner.put(`${path}/${ana}/async`, { subscriber: { gender: 'x' } })).status).toBe(422)
    expect((await api.owner.put(`${path}/2065550149/async`, { subscriber: {} })).status).toBe(404)
  })
})

test('changes of a list that has been deleted are dropped', async () => {
  const list = await newList()
  await api.owner.delete(`${list}/tags`, { tags: ['a'] })
  await api.owner.delete(list)
  await drain()
  expect(await api.db.many('rest', 'select from subscriber_changes')).toEqual([])
})

test('another account cannot tag', async () => {
  const list = await newList()
  for (const response of [
    await api.stranger.delete(`${list}/subscribers/${ana}/tags`, { tags: ['a'] }),
    await api.stranger.post(`${list}/bulk_taggings`, { phone_numbers: [ana], tags: ['x'] }),
    await api.stranger.delete(`${list}/tags`, { tags: ['a'] }),
    await api.stranger.post(`${list}/subscribers/add_tags`, { phone_numbers: [ana], tags: ['x'] }),
    await api.stranger.put(`${list}/subscribers/${ana}/async`, { subscriber: { first_name: 'x' } }),
  ]) {
    expect(response).toMatchObject({ status: 404, body: { error: 'List not found' } })
  }
  await drain()
  expect(await tagsOf(list, ana)).toEqual(['a', 'b'])
})

test('a string of tags equals the same tags in an array', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 20 }), { maxLength: 30 }), (given) => {
      const plain = given.map((tag) => tag.replaceAll(',', ''))
      const tags = readTags(plain, 'tags', 1_000)
      expect(readTags(plain.join(' , '), 'tags', 1_000)).toEqual(tags)
      expect(tags).toEqual([...new Set(tags)])
      expect(tags.every((tag) => tag !== '' && tag === tag.trim())).toBe(true)
      expect(readTags(tags, 'tags', 1_000)).toEqual(tags)
    }),
  )
})
