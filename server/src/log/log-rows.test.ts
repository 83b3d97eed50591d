import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { waitFor } from '../../test/wait-for.ts'

let database: TestDatabase
beforeEach(async () => {
  database = await freshDatabase()
  await database.db.exec(
    'days',
    `select ensure_log_day(day::date) from unnest('{2031-03-01,2031-03-02,2031-03-03}'::date[]) day`,
  )
  await database.db.exec(
    'rows',
    `insert into message_log (id, logged_on, message_id, phone, state, part_count)
     select 100 * d + n, date '2031-03-01' + d, d, 2065560000 + n % 2, 'sent', 1 from generate_series(0, 2) d, generate_series(0, 5) n`,
  )
})
afterEach(() => database.close())

const phones = [2_065_560_000, 2_065_560_001]
const rowsOf = async (given: number[], days: string[], most: number | null) =>
  (
    await database.db.many<{ id: number }>(
      'rows_of',
      'select id from log_rows($1::bigint[], $2::date[], $3) order by id',
      [given, days, most],
    )
  ).map(({ id }) => id)

test('returns the rows of the phones on the given days that are kept, at most the latest ones of each phone and day', async () => {
  expect(await rowsOf(phones.slice(0, 1), ['2031-03-01', '2031-03-03', '2030-01-01'], null)).toEqual([
    0, 2, 4, 200, 202, 204,
  ])
  expect(await rowsOf(phones, ['2031-03-02'], 2)).toEqual([102, 103, 104, 105])
  expect(await rowsOf(phones, [], null)).toEqual([])
})

test('reads nothing of a day that retention removes while it waits for it', async () => {
  const { promise: isLocked, resolve: locked } = Promise.withResolvers<void>()
  const { promise: isWaiting, resolve: waiting } = Promise.withResolvers<void>()
  const removing = database.db.tx(async (tx) => {
    await tx.exec('remove', 'alter table message_log_20310302 rename to message_log_20310302_detached')
    locked()
    await isWaiting
  })
  await isLocked
  const reading = rowsOf(phones.slice(0, 1), ['2031-03-02', '2031-03-01'], 1)
  await waitFor(async () => {
    const found = await database.db.many(
      'waiting',
      `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%rows_of%'`,
    )
    return found.length === 1
  })
  waiting()
  await removing
  expect(await reading).toEqual([4])
})

test('open_log_days returns the days of messages that are not closed, latest first', async () => {
  const days = () => database.db.one<{ days: string[] }>('open_days', 'select open_log_days()::text[] as days')
  expect(await days()).toEqual({ days: [] })
  const list = await make.list(database.db)
  await database.db.exec(
    'messages',
    `insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on, created_at,
                           accepted_at, closed_at)
     select $1, $2, $3, 'broadcast', 'Hi', 'subscribed', 1, given.status, given.day, now(), now(), given.closed_at
       from (values ('sent', date '2031-03-01', null), ('sent', '2031-03-02', timestamptz '2031-03-06'), ('sending', '2031-03-03', null),
                    ('sending', '2031-03-03', null), ('cancelled', null, null)) as given (status, day, closed_at)`,
    [list.accountId, list.id, list.shortCodeId],
  )
  expect(await days()).toEqual({ days: ['2031-03-03', '2031-03-01'] })
})
