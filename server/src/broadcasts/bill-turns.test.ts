import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { explain } from '../../test/explain.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { claimUnbilled, listUnbilledAccounts } from './bill.queries.ts'
import { billSent } from './bill.ts'

// Accounts take turns in billing, however many messages one of them has, billed or not.

let database: TestDatabase
let first: number
const rt = () => makeRuntime({ db: database.db })

beforeEach(async () => {
  database = await freshDatabase()
  first = (await make.list(database.db)).accountId
})
afterEach(() => database.close())

/** Adds messages to each of the accounts from `first` to `last`. A cancelled one has a row that a gateway has not finished. */
const add = (
  status: 'sent' | 'cancelled',
  count: number,
  given: { from?: number; to?: number; audience?: number } = {},
) =>
  database.db.exec(
    'add',
    `with added as (
       insert into messages (account_id, short_code_id, kind, content, consent, part_count, status, logged_on, created_at,
                             accepted_at, sent_at, cancelled_at)
       select account, (select id from short_codes limit 1), 'transactional', 'Hi', 'not_opted_out', 1, $1, current_date, now(),
              now(), case $1::text when 'sent' then now() end, case $1::text when 'cancelled' then now() end
         from generate_series(1, $2::int), generate_series($3::int, $4::int) account
       returning id
     )
     insert into message_counters (message_id, counter_row, submitting, audience)
     select id, 0, case $1::text when 'cancelled' then 1 else 0 end, $5 from added`,
    [status, count, given.from ?? first, given.to ?? given.from ?? first, given.audience ?? 1],
  )

const billed = (accountId: number) =>
  database.db.exec('billed', 'select from messages where account_id = $1 and billed_at is not null', [accountId])

test('many messages of one account do not delay the bill of another', async () => {
  const other = await make.accounts(database.db, 1)
  await add('sent', 400)
  await add('sent', 3, { from: other })
  await billSent(rt())
  expect([await billed(first), await billed(other)]).toEqual([100, 3])
  await billSent(rt())
  expect([await billed(first), await billed(other)]).toEqual([300, 3])
})

test('hundreds of accounts whose messages cannot be billed yet do not delay the bill of the last one', async () => {
  const last = await make.accounts(database.db, 450)
  await add('cancelled', 1, { from: first, to: last - 1 })
  await add('sent', 1, { from: last })
  for (let round = 0; round < 3; round++) await billSent(rt())
  expect(await billed(last)).toBe(1)
  // the turns begin with the first account again
  await add('sent', 1)
  for (let round = 0; round < 2; round++) await billSent(rt())
  expect(await billed(first)).toBe(1)
})

test('a message behind many that cannot be billed yet is billed after a few bounded rounds', async () => {
  await add('cancelled', 5_000)
  await add('sent', 1)
  await add('cancelled', 3_000)
  await database.db.exec('analyze', 'analyze messages, message_counters')
  const claim = (db: typeof database.db) => claimUnbilled(db, [{ accountId: first, after: 0 }], 200, null)
  // 2,000 messages, each found by its key, and its counters
  expect((await explain(database, claim)).buffers).toBeLessThan(2_000 * 10)
  for (let round = 0; round < 3; round++) await billSent(rt())
  expect(await billed(first)).toBe(1)
  // those that were passed are read again later
  await database.db.exec('finish', 'update message_counters set submitting = 0')
  for (let round = 0; (await billed(first)) < 8_001 && round < 60; round++) await billSent(rt())
  expect(await billed(first)).toBe(8_001)
})

test('accounts with large messages take turns, one message at a time', async () => {
  const last = await make.accounts(database.db, 2)
  await add('sent', 2, { to: last, audience: 60_000 })
  const order: number[] = []
  while (await billSent(rt())) {
    const rows = await database.db.many<{ account: number }>(
      'new',
      `update messages set billed_at = '2020-01-01' where billed_at > '2020-01-02' returning account_id as account`,
    )
    order.push(...rows.map(({ account }) => account))
  }
  expect(order).toEqual([first, last - 1, last, first, last - 1, last])
})

test('the next accounts and their messages are found by index among many', async () => {
  const last = await make.accounts(database.db, 300)
  await add('sent', 100, { to: last })
  await database.db.exec('bill', `update messages set billed_at = now() where id % 10 > 0`)
  await database.db.exec('analyze', 'vacuum analyze messages, message_counters')
  const accounts = await explain(database, (db) => listUnbilledAccounts(db, 0, 200))
  expect(accounts.rows).toBe(200)
  expect(accounts.buffers).toBeLessThan(200 * 6)
  const starts = Array.from({ length: 200 }, (_, n) => ({ accountId: first + n, after: 0 }))
  const messages = await explain(database, (db) => claimUnbilled(db, starts, 1, null))
  expect(messages.rows).toBe(200)
  // of ten messages that are read, one is claimed
  expect(messages.buffers).toBeLessThan(200 * 30)
})
