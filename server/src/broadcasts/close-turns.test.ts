import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { explain } from '../../test/explain.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { closeOverdue, createLogDaysAhead } from './close.ts'
import { listEndedGroups, listOverdue } from './overdue.queries.ts'

// Accounts take turns in closing messages at their receipt deadline, and a round reads only messages that are overdue.

let database: TestDatabase
let first: number
const rt = () => makeRuntime({ db: database.db })

beforeEach(async () => {
  database = await freshDatabase()
  first = (await make.list(database.db)).accountId
  await createLogDaysAhead(rt())
})
afterEach(() => database.close())

type Given = { from?: number; to?: number; hoursAgo?: number; status?: 'sent' | 'cancelled'; submitting?: number }

/** Adds messages to each of these accounts that ended so many hours ago, by default after their receipt deadline. */
const add = (count: number, { from = 0, to, hoursAgo = 73, status = 'sent', submitting = 0 }: Given = {}) =>
  database.db.exec(
    'add',
    `with added as (
       insert into messages (account_id, short_code_id, kind, content, consent, part_count, status, logged_on, created_at,
                             accepted_at, billed_at, sent_at, cancelled_at)
       select account, (select id from short_codes limit 1), 'transactional', 'Hi', 'not_opted_out', 1, $5, current_date, now(),
              now(), now(), case $5::text when 'sent' then now() - $4 * interval '1 hour' end,
              case $5::text when 'cancelled' then now() - $4 * interval '1 hour' end
         from generate_series($2::int, $3::int) account, generate_series(1, $1::int)
       returning id
     )
     insert into message_counters (message_id, counter_row, submitting) select id, 0, $6 from added`,
    [count, from || first, to ?? (from || first), hoursAgo, status, submitting],
  )

const closed = (accountId: number) =>
  database.db.exec('closed', 'select from messages where account_id = $1 and closed_at is not null', [accountId])

test('many messages of one account do not delay the closing of those of another', async () => {
  const other = await make.accounts(database.db, 1)
  await add(160)
  await add(3, { from: other, hoursAgo: 72.5 })
  await closeOverdue(rt())
  expect([await closed(first), await closed(other)]).toEqual([50, 3])
  await closeOverdue(rt())
  expect([await closed(first), await closed(other)]).toEqual([150, 3])
  while (await closeOverdue(rt()));
  expect(await closed(first)).toBe(160)
})

test('messages of hundreds of accounts are closed in turns, in rounds of 100', async () => {
  const last = await make.accounts(database.db, 149)
  await add(2, { to: last - 1 })
  await add(1, { from: last, hoursAgo: 72.5 })
  expect(await closeOverdue(rt())).toBe(100)
  expect(await closed(last)).toBe(0)
  expect(await closeOverdue(rt())).toBe(99)
  expect(await closed(last)).toBe(1)
  while (await closeOverdue(rt()));
  expect(await database.db.exec('open', 'select from messages where closed_at is null')).toBe(0)
})

test('cancelled messages of which a row is submitting do not delay the closing of others', async () => {
  const other = await make.accounts(database.db, 1)
  await add(150, { status: 'cancelled', submitting: 1 })
  await add(1, { status: 'cancelled', hoursAgo: 72.5 })
  await add(1, { from: other, hoursAgo: 72.5 })
  expect(await closeOverdue(rt())).toBe(2)
  expect([await closed(first), await closed(other)]).toEqual([1, 1])
  expect(await closeOverdue(rt())).toBe(0)
})

test('a round reads only the groups and the overdue messages, however many others there are', async () => {
  const last = await make.accounts(database.db, 99)
  await add(300, { to: last, hoursAgo: 1 })
  await database.db.exec('close', 'update messages set closed_at = now() where id % 2 = 0')
  await add(20, { to: last })
  await database.db.exec('analyze', 'vacuum analyze messages, message_counters')
  const now = new Date()
  const beforeAll = { accountId: 0, shortCodeId: 0 }
  const list = (db: typeof database.db) => listEndedGroups(db, now, 72 * 3_600_000, beforeAll, 1_000)
  for (const plan_cache_mode of ['force_generic_plan', 'force_custom_plan']) {
    const found = await explain(database, list, { plan_cache_mode })
    expect(found.rows).toBe(100)
    expect(found.buffers).toBeLessThan(100 * 8)
  }
  const groups = await list(database.db)
  expect(groups.every(({ isDue }) => isDue)).toBe(true)
  for (const plan_cache_mode of ['force_generic_plan', 'force_custom_plan']) {
    const found = await explain(database, (db) => listOverdue(db, now, groups, 1, null), { plan_cache_mode })
    expect(found.rows).toBe(100)
    expect(found.buffers).toBeLessThan(100 * 10)
  }
})
