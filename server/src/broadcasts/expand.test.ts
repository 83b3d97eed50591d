import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkBooks, readCounters } from '../../test/sending.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { finishMessages } from '../log/finish.queries.ts'
import { listQueued, markSubmitting, markUnknown } from '../log/marks.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { expandOnce, expandSlice } from './expand.ts'
import { claimExpansion } from './expansion.queries.ts'

let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
const rt = () => makeRuntime({ db: database.db })

beforeEach(async () => {
  database = await freshDatabase()
  list = await make.list(database.db)
})
afterEach(() => database.close())

const fill = (count: number, listId = list.id) =>
  database.db.exec(
    'fill',
    `insert into subscribers (list_id, phone, created_at, state, subscribed_at, opted_in_at)
     select $1, 2065560000 + n, now(), 'subscribed', now() - interval '1 day', now() - interval '1 day'
       from generate_series(1, $2::int) n`,
    [listId, count],
  )

const send = async (content = 'Hello') => (await acceptBroadcast(rt(), { accountId: list.accountId, list, content })).id

async function expandAll() {
  while (await expandOnce(rt()));
}

test('a broadcast that cannot be written does not hold up the others', async () => {
  await fill(3)
  const broken = await send('Hello {first_name}')
  await database.db.exec('break', 'update messages set logged_on = $2 where id = $1', [broken, '1999-01-01'])
  const id = await send()
  await expect(expandOnce(rt())).rejects.toThrow('message_log_19990101')
  expect(await readCounters(database.db, id)).toMatchObject({ audience: 3, queued: 3 })
})

test('everybody subscribed gets one queued row, in chunks of consecutive ids', async () => {
  await fill(12_345)
  const id = await send()
  await expandAll()
  expect(await readCounters(database.db, id)).toMatchObject({ audience: 12_345, queued: 12_345, suppressed: 0 })
  await checkBooks(database.db, id)
  const rows = await database.db.one(
    'select_count_distinct_phone_as_phones_count_distin',
    'select count(distinct phone) as phones, count(distinct id) as ids from message_log where message_id = $1',
    [id],
  )
  expect(rows).toEqual({ phones: 12_345, ids: 12_345 })
  // the chunks cover the rows exactly, none larger than a thousand
  const { uncovered, largest, chunks } = await database.db.one<{ uncovered: number; largest: number; chunks: number }>(
    'c',
    `select (select count(*) from message_log l where l.message_id = $1 and 1 <> (
               select count(*) from send_chunks c where l.id between c.first_log_id and c.last_log_id)) as uncovered,
            max(last_log_id - first_log_id + 1) as largest, count(*) as chunks
       from send_chunks where message_id = $1`,
    [id],
  )
  expect({ uncovered, largest, chunks }).toEqual({ uncovered: 0, largest: 1_000, chunks: 13 })
})

test('two workers at once write everybody once', async () => {
  await fill(30_000)
  const id = await send()
  const workers = await Promise.all([expandAll(), expandAll(), expandAll()])
  expect(workers).toHaveLength(3)
  await expandAll()
  expect((await readCounters(database.db, id)).audience).toBe(30_000)
  await checkBooks(database.db, id)
})

test('a worker that dies in the middle of a slice leaves nothing of it', async () => {
  await fill(3_000)
  const id = await send()
  await expandSlice(rt(), id)
  await expect(
    database.db.tx(async (tx) => {
      await expandSlice({ ...rt(), db: tx }, id)
      throw new Error('killed')
    }),
  ).rejects.toThrow('killed')
  expect((await readCounters(database.db, id)).audience).toBe(1_000)
  await expandAll()
  expect((await readCounters(database.db, id)).audience).toBe(3_000)
  await checkBooks(database.db, id)
})

test('a slice under way is left to its worker', async () => {
  await fill(10)
  const id = await send()
  await database.db.tx(async (tx) => {
    expect(await claimExpansion(tx, id)).toBeDefined()
    expect(await expandSlice(rt(), id)).toBe(false)
  })
})

test('who joins later is not in the audience, who leaves meanwhile is in it as suppressed', async () => {
  const { phone: stays } = await make.subscriber(database.db, { listId: list.id })
  const { phone: leaves } = await make.subscriber(database.db, { listId: list.id })
  const { phone: left } = await make.subscriber(database.db, { listId: list.id, state: 'unsubscribed' })
  await make.subscriber(database.db, { listId: list.id, state: 'pending' })
  const id = await send()
  const later = new Date(Date.now() + 1_000)
  await make.subscriber(database.db, { listId: list.id, at: later })
  await database.db.exec(
    'update_subscribers_set_state',
    `update subscribers set state = 'unsubscribed', opted_out_at = $2 where phone = $1`,
    [leaves, later],
  )
  await expandAll()
  const rows = await database.db.many(
    'select_phone_state_reason_from_message_log_order_b',
    'select phone, state, reason from message_log order by phone',
  )
  expect(rows).toEqual([
    { phone: stays, state: 'queued', reason: null },
    { phone: leaves, state: 'suppressed', reason: 'opted_out' },
  ])
  expect(rows).not.toContainEqual(expect.objectContaining({ phone: left }))
  await checkBooks(database.db, id)
})

test('a broadcast is not sent before its audience is written, nor while anybody is queued or on the way', async () => {
  await fill(3)
  const id = await send()
  expect(await finishMessages(database.db, new Date())).toBe(0)
  await expandAll()
  expect(await finishMessages(database.db, new Date())).toBe(0)
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: new Date(), fromLane: 0, toLane: 2, limit: 1 }
  const [chunk] = await claimChunks(database.db, claim)
  if (!chunk) throw new Error('no chunk to lease')
  const marked = await markSubmitting(database.db, chunk, await listQueued(database.db, chunk), new Date())
  expect(await readCounters(database.db, id)).toMatchObject({ queued: 0, submitting: 3 })
  expect(await finishMessages(database.db, new Date())).toBe(0)
  await markUnknown(database.db, chunk.loggedOn, marked)
  expect(await finishMessages(database.db, new Date())).toBe(1)
})

test('a broadcast to nobody is sent at once', async () => {
  const id = await send()
  await expandAll()
  expect(await finishMessages(database.db, new Date())).toBe(1)
  expect(
    await database.db.one('select_status_from_messages_where_id', 'select status from messages where id = $1', [id]),
  ).toEqual({ status: 'sent' })
})

test('a message past midnight keeps the day it was accepted on', async () => {
  await fill(2_500)
  const accepted = new Date('2026-03-01T23:59:59.500Z')
  const evening = { ...rt(), clock: { now: () => accepted } }
  await database.db.exec('update_subscribers_set_opted_in_at', `update subscribers set opted_in_at = '2026-01-01'`)
  const { id } = await acceptBroadcast(evening, { accountId: list.accountId, list, content: 'Good night' })
  await expandSlice(evening, id)
  const morning = { ...rt(), clock: { now: () => new Date('2026-03-02T00:00:05Z') } }
  while (await expandOnce(morning));
  const rows = await database.db.many(
    'select_logged_on_count_as_n_from_message_log_group',
    'select logged_on, count(*) as n from message_log group by 1',
  )
  expect(rows).toEqual([{ logged_on: '2026-03-01', n: 2_500 }])
})
