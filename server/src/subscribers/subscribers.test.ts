import { describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { waitFor } from '../../test/wait-for.ts'
import { ensureLogDay } from '../log/log-days.queries.ts'
import { subscriberReader } from './subscribers.ts'

const api = useApi()

async function ownList() {
  const { accountId, shortCode } = api.owner
  return make.list(api.db, { accountId, shortCodeId: shortCode.id })
}

async function withSubscriber(given: object = {}) {
  const list = await ownList()
  await make.subscriber(api.db, { listId: list.id, phone: 2065550143, firstName: 'Marisol', ...given })
  return { list, path: `/lists/${list.id}/subscribers/2065550143` }
}

describe('reading one', () => {
  test('returns a number in any state, in any format of the path', async () => {
    const { path } = await withSubscriber({ state: 'unsubscribed', at: new Date('2026-07-01T12:00:00.123Z') })
    const response = await api.owner.get(path)
    expect(response.body).toMatchObject({
      status: 'OK',
      subscriber: {
        phone_number: '2065550143',
        first_name: 'Marisol',
        subscribed_at: '2026-07-01T05:00:00-07:00',
        opted_out_at: '2026-07-01T06:00:00-07:00',
        optin_in_progress: false,
        total_messages_received: 0,
      },
    })
    const spelling = path.replace('2065550143', '%2B1%20(206)%20555-0143')
    expect((await api.owner.get(spelling)).body).toEqual(response.body)
  })

  test('counts the broadcasts of this list that were sent to the number', async () => {
    const { list, path } = await withSubscriber()
    const other = await make.list(api.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })
    await ensureLogDay(api.db, '2026-03-02')
    const send = async (listId: number, kind: string, state: string, phone = 2065550143) => {
      const { id } = await api.db.one<{ id: number }>(
        'make_message',
        `insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on,
                               accepted_at, created_at)
         values ($1, $2, $3, $4, 'x', 'subscribed', 1, 'sent', '2026-03-02', now(), now()) returning id`,
        [api.owner.accountId, listId, api.owner.shortCode.id, kind],
      )
      await api.db.exec(
        'make_log_row',
        `insert into message_log (id, logged_on, message_id, phone, state, part_count)
         values ($1, '2026-03-02', $1, $2, $3, 1)`,
        [id, phone, state],
      )
    }
    await send(list.id, 'broadcast', 'delivered')
    await send(list.id, 'broadcast', 'sent')
    await send(list.id, 'broadcast', 'suppressed')
    await send(list.id, 'broadcast', 'delivered', 2065550144)
    await send(list.id, 'system', 'delivered')
    await send(other.id, 'broadcast', 'delivered')
    expect((await api.owner.get(path)).body.subscriber).toMatchObject({ total_messages_received: 2 })
  })

  test('reads the log only for lists with a broadcast that is not closed, and the count is exact', async () => {
    const { accountId } = api.owner
    const { list } = await withSubscriber()
    const { list: quiet } = await withSubscriber()
    await ensureLogDay(api.db, '2026-03-02')
    const names: string[] = []
    const read = subscriberReader({
      ...api.db,
      many: (name, ...rest) => {
        names.push(name)
        return api.db.many(name, ...rest)
      },
    })
    const counts = async (...lists: number[]) => {
      names.length = 0
      const found = await Promise.all(lists.map((id) => read(accountId, id, '2065550143')))
      return found.map(({ messagesReceived }) => messagesReceived)
    }
    expect(await counts(list.id, quiet.id)).toEqual([0, 0])
    expect(names).toEqual(['find_details_without_log'])

    await api.db.exec(
      'send',
      `with m as (
         insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on,
                               accepted_at, created_at)
         values ($1, $2, $3, 'broadcast', 'x', 'subscribed', 1, 'sent', '2026-03-02', now(), now()) returning id)
       insert into message_log (id, logged_on, message_id, phone, state, part_count)
       select id, '2026-03-02', id, 2065550143, 'delivered', 1 from m`,
      [accountId, list.id, api.owner.shortCode.id],
    )
    expect(await counts(quiet.id, list.id)).toEqual([0, 1])
    expect(await counts(list.id, quiet.id)).toEqual([1, 0])
    expect(names).toContain('find_subscriber_details')

    // closed, with its text counted
    await api.db.exec('close', 'update messages set closed_at = now() where list_id = $1', [list.id])
    await api.db.exec('count', 'insert into received_counts values ($1, 2065550143, 1)', [list.id])
    expect(await counts(list.id)).toEqual([1])
    await waitFor(async () => {
      expect(await counts(quiet.id, list.id)).toEqual([0, 1])
      return names.join() === 'find_details_without_log'
    })
  })

  test.each(['2065550144', '206555014', 'abc', '%00', '9'.repeat(90)])('%s is not found', async (phone) => {
    const { list } = await withSubscriber()
    expect(await api.owner.get(`/lists/${list.id}/subscribers/${phone}`)).toMatchObject({
      status: 404,
      body: { status: 'error', error: 'Subscriber not found', code: 'subscriber_not_found' },
    })
  })
})

describe('changing one', () => {
  test('changes the given values, adds tags, and does not change consent', async () => {
    const { path } = await withSubscriber({ state: 'unsubscribed' })
    const given = {
      first_name: 'María',
      email: 'm@cedar.example',
      gender: 'Female',
      birthdate: '19910417',
      zip_code: 98118,
    }
    const first = await api.owner.put(path, { subscriber: { ...given, tags: 'b, a' } })
    expect(first).toMatchObject({
      status: 200,
      body: { status: 'Subscriber has been updated.', subscriber: { ...given, zip_code: '98118', tags: ['b', 'a'] } },
    })
    const second = await api.owner.put(path, {
      subscriber: { phone_number: '2065550143', last_name: 'Okafor', tags: ['c', 'a'], bypass_opt_in_process: true },
    })
    expect(second.body.subscriber).toMatchObject({
      ...given,
      zip_code: '98118',
      last_name: 'Okafor',
      tags: ['b', 'a', 'c'],
    })
    expect(second.body.subscriber).toMatchObject({ opted_out_at: expect.any(String) })
  })

  test.each([
    [{ birthdate: '1991-04-17' }, { birthdate: '19910417' }],
    [{ birthdate: '4/17/1991' }, { birthdate: '19910417' }],
    [{ birthdate: 'April 17, 1991' }, { birthdate: '19910417' }],
    [{ zip_code: '98118-1234' }, { zip_code: '98118' }],
    [{ zip_code: 'K1A 0B1' }, { zip_code: 'K1A0B1' }],
    [{ gender: 'male' }, { gender: 'Male' }],
    [{ gender: ' F ' }, { gender: 'Female' }],
  ])('reads %j as %j', async (given, expected) => {
    const { path } = await withSubscriber()
    const { status, body } = await api.owner.put(path, { subscriber: given })
    expect([status, body.subscriber]).toMatchObject([200, expected])
  })

  test('null and an empty string erase a value', async () => {
    const { path } = await withSubscriber()
    await api.owner.put(path, { subscriber: { gender: 'Male', birthdate: 19910417, email: 'a@b.example' } })
    const erased = { first_name: null, gender: null, birthdate: '', email: '' }
    expect((await api.owner.put(path, { subscriber: erased })).body.subscriber).toMatchObject({
      first_name: '',
      gender: null,
      birthdate: '',
      email: '',
    })
  })

  test('nothing changes when one value is rejected', async () => {
    const { path } = await withSubscriber()
    const response = await api.owner.put(path, { subscriber: { first_name: 'Other', last_name: 'a'.repeat(51) } })
    expect(response.status).toBe(422)
    expect((await api.owner.get(path)).body.subscriber).toMatchObject({ first_name: 'Marisol' })
  })

  test('a number that is not on the list is not found', async () => {
    const { path } = await withSubscriber()
    const response = await api.owner.put(path.replace('0143', '0144'), { subscriber: { first_name: 'x' } })
    expect(response).toMatchObject({ status: 404, body: { error: 'Subscriber not found' } })
  })
})

describe('unsubscribing one', () => {
  test('changes the ledger and the counts, and does not delete the record', async () => {
    const { list, path } = await withSubscriber()
    const response = await api.owner.delete(path)
    expect(response).toMatchObject({
      status: 200,
      body: {
        status: 'successfully unsubscribed',
        subscriber: { first_name: 'Marisol', opted_out_at: expect.any(String) },
      },
    })
    expect((await api.owner.delete(path)).body).toEqual(response.body)
    expect((await api.owner.get(`/lists/${list.id}`)).body.list).toMatchObject({
      counts: { subscribers: 0, unsubscribed: 1, cleaned: 0 },
    })
    const rows = await api.db.many('read_opts', 'select kind, method, actor from opts where list_id = $1', [list.id])
    expect(rows).toEqual([{ kind: 'opt_out', method: 'api', actor: `key:${api.owner.keyId}` }])
  })

  test.each(['2065550144', 'abc'])('%s is not found', async (phone) => {
    const { list } = await withSubscriber()
    expect(await api.owner.delete(`/lists/${list.id}/subscribers/${phone}`)).toMatchObject({
      status: 404,
      body: { error: 'Subscriber not found' },
    })
  })
})

test('another account finds neither list nor number', async () => {
  const { path } = await withSubscriber()
  for (const response of [
    await api.stranger.get(path),
    await api.stranger.put(path, { subscriber: { first_name: 'x' } }),
    await api.stranger.delete(path),
    await api.stranger.get(path.replace('/2065550143', '')),
  ]) {
    expect(response).toMatchObject({ status: 404, body: { error: 'List not found' } })
  }
  expect((await api.owner.get(path)).body.subscriber).toMatchObject({ first_name: 'Marisol', opted_out_at: null })
})

test('numbers are listed in pages by state', async () => {
  const list = await ownList()
  const states = ['subscribed', 'unsubscribed', 'subscribed', 'cleaned', 'subscribed', 'pending'] as const
  for (const [index, state] of states.entries()) {
    await make.subscriber(api.db, { listId: list.id, phone: 2065550149 - index, state })
  }
  const path = `/lists/${list.id}/subscribers`
  expect((await api.owner.get(`${path}?per_page=2`)).body).toEqual({
    status: 'OK',
    per_page: 2,
    count: 3,
    page: 1,
    pages_count: 2,
    phone_numbers: ['2065550145', '2065550147'],
  })
  expect((await api.owner.get(`${path}?per_page=2&page=2`)).body.phone_numbers).toEqual(['2065550149'])
  expect((await api.owner.get(`${path}?per_page=2&page=3`)).body).toMatchObject({ page: 3, phone_numbers: [] })
  expect((await api.owner.get(`${path}/unsubscribed`)).body).toMatchObject({ count: 1, phone_numbers: ['2065550148'] })
  expect((await api.owner.get(`${path}/cleaned/`)).body).toMatchObject({ count: 1, phone_numbers: ['2065550146'] })
})

test('numbers are read in order with a cursor', async () => {
  const { accountId, shortCode } = api.owner
  const { id } = await make.list(api.db, { accountId, shortCodeId: shortCode.id })
  for (const phone of [2_065_550_101, 2_065_550_102, 2_065_550_103])
    await make.subscriber(api.db, { listId: id, phone })
  const read = (query: string) => api.owner.get(`/lists/${id}/subscribers?per_page=2${query}`)
  expect((await read('')).body).not.toHaveProperty('next_cursor')
  const first = await read('&cursor=0')
  expect(first.body).toMatchObject({
    status: 'OK',
    count: 3,
    pages_count: 2,
    phone_numbers: ['2065550101', '2065550102'],
    next_cursor: '2065550102',
  })
  expect((await read(`&cursor=${first.body.next_cursor}&page=7`)).body).toMatchObject({
    phone_numbers: ['2065550103'],
    next_cursor: null,
  })
  expect(await read('&cursor=abc')).toMatchObject({
    status: 422,
    body: { details: { cursor: ['must be 0 or a next_cursor'] } },
  })
  expect(await api.stranger.get(`/lists/${id}/subscribers?cursor=0`)).toMatchObject({ status: 404 })
})
