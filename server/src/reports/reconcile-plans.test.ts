import { afterAll, beforeAll, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { explain } from '../../test/explain.ts'
import { make } from '../../test/make.ts'
import type { Db } from '../db/db.ts'
import { listExpiredReports } from './momt-reports.queries.ts'
import {
  compareCounters,
  compareListCounts,
  countReceivedTexts,
  findReceivedCounts,
  listListIds,
  listMessagesToCount,
} from './reconcile.queries.ts'

// `carillon reconcile` reads each row that it compares once. It does not read the other messages of a day, or other lists.

const day = '2031-03-02'
const [perMessage, messages, perList] = [100, 300, 1_000]
let database: TestDatabase
let listIds: number[]
let messageIds: number[]

beforeAll(async () => {
  database = await freshDatabase()
  const { db } = database
  const first = await make.list(db)
  const { accountId, shortCodeId } = first
  listIds = [first.id]
  for (let n = 0; n < 9; n++) listIds.push((await make.list(db, { accountId, shortCodeId })).id)
  await db.exec('day', `select ensure_log_day('${day}')`)
  const rows = await db.many<{ id: number }>(
    'messages',
    `insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on, created_at,
                           accepted_at, expanded_at, sent_at, closed_at, received_through)
     select $1, ($3::bigint[])[1 + n % 10], $2, 'broadcast', 'Hello', 'subscribed', 1, 'sent', $4::date, now(), now(), now(), now(),
            now(), (n + 1) * 16384
       from generate_series(1, $5::int) n returning id`,
    [accountId, shortCodeId, listIds, day, messages],
  )
  messageIds = rows.map(({ id }) => id)
  // half of them have ranges, the others chunks
  await db.exec(
    'log',
    `insert into message_log (id, logged_on, message_id, phone, state, part_count)
     select n * 16384 + i, $1::date, ($2::bigint[])[n], 2065550000 + i, 'delivered', 1
       from generate_series(1, $3::int) n, generate_series(0, $4::int - 1) i`,
    [day, messageIds, messages, perMessage],
  )
  await db.exec(
    'ranges',
    `insert into message_ranges (message_id, first_log_id, last_log_id)
     select ($1::bigint[])[n], n * 16384, n * 16384 + $3::int - 1 from generate_series(1, $2::int, 2) n`,
    [messageIds, messages, perMessage],
  )
  await db.exec(
    'chunks',
    `insert into send_chunks (message_id, logged_on, lane, due_at, first_log_id, last_log_id, short_code_id, done_at)
     select ($1::bigint[])[n], $4::date, 2, now(), n * 16384, n * 16384 + $3::int - 1, $5, now() from generate_series(2, $2::int, 2) n`,
    [messageIds, messages, perMessage, day, shortCodeId],
  )
  await db.exec(
    'counters',
    `insert into message_counters (message_id, audience, delivered) select id, $2, $2 from unnest($1::bigint[]) id`,
    [messageIds, perMessage],
  )
  await db.exec(
    'subscribers',
    `insert into subscribers (list_id, phone, state, created_at)
     select id, 2065550000 + n, 'subscribed', now() from unnest($1::bigint[]) id, generate_series(1, $2::int) n`,
    [listIds, perList],
  )
  await db.exec(
    'received',
    `insert into received_counts (list_id, phone, messages)
     select id, 2065550000 + n, 1 from unnest($1::bigint[]) id, generate_series(1, $2::int) n`,
    [listIds, perList],
  )
  await db.exec(
    'reports',
    `insert into momt_reports (account_id, date_from, date_to, date_from_offset, date_to_offset, format, gzip, import_completed_at,
                               counts_calculated, cancelled, expired_at, created_at, updated_at, cursor_at, due_at, settles_at)
     select $1, now(), now(), 'Z', 'Z', 'json', false, case when n % 3 <> 0 then '2031-03-02'::timestamptz end, n % 3 = 1,
            case when n % 3 = 0 then true end, case when n % 500 > 2 then now() end, now(), now(), now(), now(), now()
       from generate_series(1, 9000) n`,
    [accountId],
  )
  await db.exec('analyze', 'analyze')
})
afterAll(() => database.close())

/** Returns the rows that a statement compares, with and without the settings of `findByKeys`. */
async function compared(run: (db: Db) => Promise<unknown>): Promise<number[]> {
  const found = [await explain(database, run), await explain(database, run, { jit: 'off' })]
  return found.map((each) => each.compared)
}

test('a batch of messages is read by its ranges and chunks', async () => {
  const some = messageIds.slice(100, 104)
  const [byKeys = 0] = await compared((db) => compareCounters(db, day, some))
  // several nodes of the plan pass each row on
  expect(byKeys).toBeGreaterThan(4 * perMessage)
  expect(byKeys).toBeLessThan(4 * perMessage * 12)
})

test('the messages of a period are read once, a page at a time', async () => {
  const page = { from: day, to: day }
  for (const rows of await compared((db) => listMessagesToCount(db, page, messageIds[99] ?? 0, 20)))
    expect(rows).toBeLessThan(20 * 15)
})

test('a list is compared with its own subscribers and deltas only', async () => {
  const [, own = 0] = await compared((db) => compareListCounts(db, listIds[5] ?? 0))
  expect(own).toBeGreaterThan(perList)
  expect(own).toBeLessThan(perList * 8)
  for (const rows of await compared((db) => listListIds(db, listIds[2] ?? 0, 3))) expect(rows).toBeLessThan(20)
})

test('the received counts of a list, and the received texts of its broadcasts, are read alone', async () => {
  const [, counts = 0] = await compared((db) => findReceivedCounts(db, listIds[5] ?? 0))
  expect(counts).toBeLessThan(perList * 4)
  for (const n of [100, 101]) {
    const broadcast = { id: messageIds[n] ?? 0, loggedOn: day, through: 1e9, closedAt: null, audience: perMessage }
    const [texts = 0] = await compared((db) => countReceivedTexts(db, broadcast))
    expect(texts).toBeGreaterThan(perMessage)
    expect(texts).toBeLessThan(perMessage * 12)
  }
})

test('reports with files to delete are found without those that have none', async () => {
  for (const before of [new Date('2031-03-01T00:00:00Z'), new Date('2031-03-03T00:00:00Z')]) {
    for (const rows of await compared((db) => listExpiredReports(db, before, 10))) expect(rows).toBeLessThan(150)
  }
})
