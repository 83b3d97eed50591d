import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { finishMessages } from '../log/finish.queries.ts'
import { markSubmitting, markUnknown } from '../log/marks.queries.ts'
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

const fill = (count: number, listId = list.id) => make.subscribers(database.db, { listId, count })

const send = async (content = 'Hello') => (await acceptBroadcast(rt(), { accountId: list.accountId, list, content })).id

async function expandAll() {
  while (await expandOnce(rt()));
}

test('expands the other broadcasts when one fails', async () => {
  await fill(3)
  const broken = await send('Hello {first_name}')
  await database.db.exec('break', 'update messages set logged_on = $2 where id = $1', [broken, '1999-01-01'])
  const id = await send()
  expect(await expandOnce(rt())).toBe(true)
  expect(await readCounters(database.db, id)).toMatchObject({ audience: 3, queued: 3 })
  const failed = await database.db.many('failed', 'select message_id as id, error from message_failures')
  expect(failed).toEqual([{ id: broken, error: 'PostgreSQL error 42P01' }])
})

test('writes one queued row per subscriber, in chunks of consecutive ids', async () => {
  await fill(12_345)
  const id = await send()
  await expandAll()
  expect(await readCounters(database.db, id)).toMatchObject({ audience: 12_345, queued: 12_345, suppressed: 0 })
  await checkCounters(database.db, id)
  const rows = await database.db.one(
    'count_distinct',
    'select count(distinct phone) as phones, count(distinct id) as ids from message_log where message_id = $1',
    [id],
  )
  expect(rows).toEqual({ phones: 12_345, ids: 12_345 })
  // each row is in exactly one chunk, and no chunk has more than 1,000 rows
  const { uncovered, largest, chunks } = await database.db.one<{ uncovered: number; largest: number; chunks: number }>(
    'chunks',
    `select (select count(*) from message_log l where l.message_id = $1 and 1 <> (
               select count(*) from send_chunks c where l.id between c.first_log_id and c.last_log_id)) as uncovered,
            max(last_log_id - first_log_id + 1) as largest, count(*) as chunks
       from send_chunks where message_id = $1`,
    [id],
  )
  expect({ uncovered, largest, chunks }).toEqual({ uncovered: 0, largest: 1_000, chunks: 13 })
})

test('writes each recipient once when several workers expand concurrently', async () => {
  await fill(30_000)
  const id = await send()
  const workers = await Promise.all([expandAll(), expandAll(), expandAll()])
  expect(workers).toHaveLength(3)
  await expandAll()
  expect((await readCounters(database.db, id)).audience).toBe(30_000)
  await checkCounters(database.db, id)
})

test('writes nothing of a slice whose worker dies', async () => {
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
  await checkCounters(database.db, id)
})

test('skips a broadcast whose expansion another worker has locked', async () => {
  await fill(10)
  const id = await send()
  await database.db.tx(async (tx) => {
    expect(await claimExpansion(tx, id)).toBeDefined()
    expect(await expandSlice(rt(), id)).toBe(false)
  })
})

test('omits subscribers who join after it was accepted, and suppresses those who opt out', async () => {
  const { phone: subscribedPhone } = await make.subscriber(database.db, { listId: list.id })
  const { phone: optedOutPhone } = await make.subscriber(database.db, { listId: list.id })
  const { phone: formerPhone } = await make.subscriber(database.db, { listId: list.id, state: 'unsubscribed' })
  await make.subscriber(database.db, { listId: list.id, state: 'pending' })
  const id = await send()
  const later = new Date(Date.now() + 1_000)
  await make.subscriber(database.db, { listId: list.id, at: later })
  await database.db.exec(
    'unsubscribe',
    `update subscribers set state = 'unsubscribed', opted_out_at = $2 where phone = $1`,
    [optedOutPhone, later],
  )
  await expandAll()
  const rows = await database.db.many('rows', 'select phone, state, reason from message_log order by phone')
  expect(rows).toEqual([
    { phone: subscribedPhone, state: 'queued', reason: null },
    { phone: optedOutPhone, state: 'suppressed', reason: 'opted_out' },
  ])
  expect(rows).not.toContainEqual(expect.objectContaining({ phone: formerPhone }))
  await checkCounters(database.db, id)
})

test('marks a broadcast as sent when its audience is written and no row is queued or submitting', async () => {
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

test('marks a broadcast to an empty list as sent', async () => {
  const id = await send()
  await expandAll()
  expect(await finishMessages(database.db, new Date())).toBe(1)
  expect(await database.db.one('status', 'select status from messages where id = $1', [id])).toEqual({ status: 'sent' })
})

test('writes rows of slices after midnight to the day on which the message was accepted', async () => {
  await fill(2_500)
  const accepted = new Date('2026-03-01T23:59:59.500Z')
  const evening = { ...rt(), clock: { now: () => accepted } }
  await database.db.exec('set_opted_in_at', `update subscribers set opted_in_at = '2026-01-01'`)
  const { id } = await acceptBroadcast(evening, { accountId: list.accountId, list, content: 'Good night' })
  await expandSlice(evening, id)
  const morning = { ...rt(), clock: { now: () => new Date('2026-03-02T00:00:05Z') } }
  while (await expandOnce(morning));
  const rows = await database.db.many('rows_by_day', 'select logged_on, count(*) as n from message_log group by 1')
  expect(rows).toEqual([{ logged_on: '2026-03-01', n: 2_500 }])
})
