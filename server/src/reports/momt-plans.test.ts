import { afterAll, beforeAll, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { explain } from '../../test/explain.ts'
import { make } from '../../test/make.ts'
import { mtRows } from './momt-rows.sql.ts'
import { listRanges, listReportedMessages, listReportedMos } from './momt-slices.queries.ts'

// What a slice of a report reads does not depend on how many messages, MOs and log rows there are before and after it.

const noFilter = {
  direction: null,
  statuses: null,
  messageType: null,
  shortCode: null,
  listId: null,
  carrier: null,
  phone: null,
  messageId: null,
  reason: null,
  clicked: null,
  link: null,
}
const none = { phone: false, carrier: false, statuses: false, replies: false, reason: false, clicked: false }
const from = new Date('2031-03-02T00:00:00Z')
const cursor = { at: from, id: 0, logId: 0 }
const day = '2031-03-02'
let database: TestDatabase
let period: { accountId: number; from: Date; to: Date }

beforeAll(async () => {
  database = await freshDatabase()
  const { db } = database
  const { id: accountId } = await make.account(db)
  const shortCode = await make.shortCode(db, { accountId })
  const { id: connectionId } = await make.connection(db)
  period = { accountId, from, to: new Date('2031-03-03T00:00:00Z') }
  // a message every ten minutes for 55 days, and as many MOs
  await db.exec(
    'fill_messages',
    `insert into messages (account_id, short_code_id, kind, content, consent, part_count, status, logged_on, phone, created_at,
                           accepted_at, expanded_at, sent_at, closed_at)
     select $1, $2, 'transactional', 'Hello', 'not_opted_out', 1, 'sent', (t at time zone 'utc')::date, 2065550100 + n % 500,
            t, t, t, t, t
       from generate_series(0, 7999) n, lateral (select $3::timestamptz + (n - 4000) * interval '10 minutes' as t) times`,
    [accountId, shortCode.id, from],
  )
  await db.exec(
    'fill_mos',
    `insert into inbound_messages (connection_id, short_code, phone, content, raw, data_coding, received_at)
     select $1, $2, 2065550100 + n % 500, 'Thanks', '', 0, $3::timestamptz + (n - 4000) * interval '10 minutes'
       from generate_series(0, 7999) n`,
    [connectionId, shortCode.code, from],
  )
  await db.exec('make_day', `select ensure_log_day('${day}')`)
  await db.exec(
    'fill_log',
    `insert into message_log_20310302 (id, logged_on, message_id, phone, state, part_count)
     select n, '${day}', 1, 2065550100 + n % 500, 'delivered'::message_state, 1 from generate_series(1, 20000) n
      union all
     select 20000 + row_number() over (order by id), logged_on, id, phone, 'delivered'::message_state, 1 from messages where logged_on = '${day}'`,
  )
  await db.exec('analyze', 'analyze')
})
afterAll(() => database.close())

test('the messages of a slice are found by the time of their acceptance', async () => {
  const found = await explain(database, (db) => listReportedMessages(db, period, cursor, noFilter, 50))
  expect(found.rows).toBe(50)
  expect(found.compared).toBeLessThan(500)
})

test('the MOs of a slice are found by the time of their arrival', async () => {
  const found = await explain(database, (db) => listReportedMos(db, period, cursor, null, 50))
  expect(found.rows).toBe(50)
  expect(found.compared).toBeLessThan(500)
})

test('the rows of texts to one number are found by the number, and those of a broadcast in their ranges', async () => {
  const { messages } = await listReportedMessages(database.db, period, cursor, noFilter, 100)
  const found = await explain(database, (db) => listRanges(db, day, messages))
  expect(found.rows).toBe(100)
  // forty rows of the day have the same number
  expect(found.compared).toBeLessThan(100 * 40 * 3)

  const range = { n: 0, message_id: messages[0]?.id, first_id: 20_001, last_id: 20_144 }
  const set = `select set_config('carillon.momt', '${JSON.stringify({ ranges: [range] })}', false)`
  const read = await database.db.withClient(async (client) => {
    await client.query(set)
    const { rows } = await client.query(
      `explain (analyze, format json) ${mtRows('message_log_20310302', none, { hasLookUps: true })}`,
    )
    await client.query(`reset carillon.momt`)
    return JSON.stringify(rows[0]['QUERY PLAN'])
  })
  expect(read).toContain('message_log_20310302_pkey')
  expect(read).not.toMatch(/"Actual Rows": ?20\d{3}/)
})
