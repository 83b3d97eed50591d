import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { explain } from '../../test/explain.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { readCounters } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import type { Db } from '../db/db.ts'
import { computeFlightPlanJob } from '../flight-plans/flight-plans.jobs.ts'
import { requestFlightPlan } from '../flight-plans/flight-plans.ts'
import { listCancelledQueued } from '../log/cancel.queries.ts'
import { listFinished } from '../log/finish.queries.ts'
import { claimClosedChunks, listLate } from '../log/reopen.queries.ts'
import { createDraft, startDue } from '../messages/drafts/drafts.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { cancelQueued } from './cancelled.ts'
import { expandOnce, expandSlice } from './expand.ts'
import { listOpenExpansions } from './expansion.queries.ts'
import { finishSent } from './sweeps.ts'

// Accounts take turns in the work of each step of a broadcast, however many broadcasts one of them has.

let database: TestDatabase
let now: Date
let hostile: Awaited<ReturnType<typeof make.list>>
let other: typeof hostile
const rt = () => ({ ...makeRuntime(database), clock: { now: () => now } })

beforeEach(async () => {
  database = await freshDatabase()
  now = new Date('2031-05-06T20:00:00Z')
  hostile = await make.list(database.db)
  other = await make.list(database.db)
  for (const { id } of [hostile, other]) await make.subscribers(database.db, { listId: id, count: 3 })
})
afterEach(() => database.close())

const content = 'Soup on Friday'

async function send(list: typeof hostile, times = 1): Promise<number[]> {
  const ids: number[] = []
  for (let n = 0; n < times; n++)
    ids.push((await acceptBroadcast(rt(), { accountId: list.accountId, list, content })).id)
  return ids
}

const set = (statement: string) => database.db.exec(`set ${statement.slice(0, 50)}`, statement)

test('a single audience is written in turn with 150 of another account', async () => {
  await send(hostile, 150)
  const [id] = (await send(other)) as [number]
  const open = await listOpenExpansions(database.db, null)
  expect(open.map(({ messageId }) => messageId).indexOf(id)).toBeLessThan(2)
  expect(open.length).toBeLessThanOrEqual(3)
  await expandOnce(rt())
  expect(await readCounters(database.db, id)).toMatchObject({ audience: 3 })
})

test('an account with one broadcast loses no turn to slices of others in the same round', async () => {
  const ids = await send(hostile, 3)
  await set('update expansions set cursor_phone = 2065560001')
  // the one with the lowest cursor is first
  await set(`update expansions set cursor_phone = 0 where message_id = ${ids[2]}`)
  expect((await listOpenExpansions(database.db, null)).map(({ messageId }) => messageId)).toEqual([ids[2], ids[0]])
  // and another worker finds the second one while the first is locked
  await database.db.tx(async (tx) => {
    await tx.exec('lock', 'select from expansions where message_id = $1 for update', [ids[2]])
    expect(await expandSlice(rt(), ids[2] as number)).toBe(false)
    expect(await expandSlice(rt(), ids[0] as number)).toBe(true)
  })
})

test('a scheduled broadcast starts in turn with 40 of another account that are due before it', async () => {
  const dueAt = new Date(now.getTime() + 60_000)
  const later = new Date(now.getTime() + 61_000)
  for (let n = 0; n < 40; n++) await createDraft(rt(), { accountId: hostile.accountId, list: hostile, content }, dueAt)
  await createDraft(rt(), { accountId: other.accountId, list: other, content }, later)
  now = later
  for (let n = 0; n < 2; n++) expect(await startDue(rt())).toBe(true)
  const started = await database.db.many(
    'started',
    `select account_id as id from messages where status = 'sending' order by id`,
  )
  expect(started).toEqual([{ id: hostile.accountId }, { id: other.accountId }])
})

test('cancelled and late messages of an account leave turns to those of others', async () => {
  await send(hostile, 30)
  const [id] = (await send(other)) as [number]
  while (await expandOnce(rt()));
  const third = (found: Array<{ messageId: number }>) => found.slice(0, 2).map(({ messageId }) => messageId)
  await set(`update messages set deliver_by = '2031-05-06T20:00:00Z'`)
  await set(`update messages set deliver_by = '2031-05-06T19:00:00Z' where account_id = ${hostile.accountId}`)
  const late = await listLate(database.db, now, null)
  expect(third(late)).toContain(id)
  expect(late).toHaveLength(4)
  await set(`update messages set status = 'cancelled', cancelled_at = now()`)
  const cancelled = await listCancelledQueued(database.db, null)
  expect(third(cancelled)).toContain(id)
  expect(cancelled).toHaveLength(4)
  while ((await cancelQueued(rt())) > 0);
  expect(await readCounters(database.db, id)).toMatchObject({ queued: 0, cancelled: 3 })
})

test('a turn of a large cancelled message is bounded, and the next one continues', async () => {
  await make.subscribers(database.db, { listId: hostile.id, count: 400, after: 2_065_570_000 })
  const [id] = (await send(hostile)) as [number]
  while (await expandOnce(rt()));
  // chunks of a few rows each
  await set(`
    with chunk as (delete from send_chunks returning *)
    insert into send_chunks (message_id, short_code_id, logged_on, lane, due_at, first_log_id, last_log_id)
    select message_id, short_code_id, logged_on, lane, due_at, n, least(n + 3, last_log_id)
      from chunk, generate_series(first_log_id, last_log_id, 4) n`)
  await set(`update messages set status = 'cancelled', cancelled_at = now()`)
  expect(await cancelQueued(rt())).toBe(1)
  expect(await readCounters(database.db, id)).toMatchObject({ cancelled: 200 })
  expect(await cancelQueued(rt())).toBe(1)
  while ((await cancelQueued(rt())) > 0);
  expect(await readCounters(database.db, id)).toMatchObject({ queued: 0, cancelled: 403 })
})

test('messages that were cancelled before do not slow down the next rounds', async () => {
  const ids = await send(hostile, 2)
  const many = `
    with added as (
      insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on,
                            created_at, accepted_at, cancelled_at, billed_at)
      select account_id, list_id, short_code_id, kind, content, consent, part_count, 'cancelled', logged_on, created_at,
             accepted_at, now(), now()
        from messages, generate_series(1, 3000) where id = ${ids[0]}
      returning id
    )
    insert into message_counters (message_id, counter_row) select id, n from added, generate_series(0, 1) n`
  await set(many)
  while (await expandOnce(rt()));
  // one was requeued after its bill and before it was cancelled
  await set(`
    update messages set status = 'cancelled', cancelled_at = now(), billed_at = case when id = ${ids[0]} then now() end,
           requeued_at = case when id = ${ids[0]} then now() end
     where status = 'sending'`)
  await set('analyze messages, message_counters')
  expect((await listCancelledQueued(database.db, null)).map(({ messageId }) => messageId)).toEqual(ids)
  expect((await explain(database, (db) => listCancelledQueued(db, null), {})).buffers).toBeLessThan(100)
})

test('thousands of messages that are still being sent do not delay the end of another', async () => {
  const [first, last] = (await send(hostile, 2)) as [number, number]
  while (await expandOnce(rt()));
  await set(`
    with added as (
      insert into messages (account_id, list_id, short_code_id, kind, content, consent, part_count, status, logged_on,
                            created_at, accepted_at, expanded_at)
      select account_id, list_id, short_code_id, kind, content, consent, part_count, 'sending', logged_on, created_at,
             accepted_at, now()
        from messages, generate_series(1, 12000) where id = ${first}
      returning id
    )
    insert into message_counters (message_id, counter_row, queued) select id, 0, 1 from added`)
  const [id] = (await send(other)) as [number]
  while (await expandOnce(rt()));
  await set('analyze messages, message_counters')
  await set(`update message_counters set queued = 0 where message_id in (${id}, ${last})`)
  const isSent = (message: number) =>
    database.db.exec('is_sent', `select from messages where id = $1 and status = 'sent'`, [message])
  expect(await finishSent(rt())).toBe(true)
  expect([await isSent(last), await isSent(id)]).toEqual([1, 0])
  // five pages of 2,000 each, and then the last two
  expect(await finishSent(rt())).toBe(false)
  expect(await finishSent(rt())).toBe(true)
  expect(await isSent(id)).toBe(1)
  const page = (db: Db) => listFinished({ ...db, one: db.many } as unknown as Db, 0, 2_000, null)
  expect((await explain(database, page, { plan_cache_mode: 'force_generic_plan' })).buffers).toBeLessThan(2_000 * 10)
})

test('closed chunks of one short code leave room to those of others', async () => {
  await send(hostile, 1)
  await send(other)
  while (await expandOnce(rt()));
  const [first] = await database.db.many<{ id: number }>('first', 'select id from send_chunks order by id')
  await set(`
    insert into send_chunks (message_id, short_code_id, logged_on, lane, due_at, first_log_id, last_log_id, closes_at)
    select message_id, short_code_id, logged_on, lane, due_at, first_log_id, last_log_id, '2031-05-06T19:00:00Z'
      from send_chunks, generate_series(1, 500) where id = ${first?.id}`)
  await set(`update send_chunks set closes_at = '2031-05-06T19:30:00Z' where closes_at is null`)
  const claimed = await database.db.tx((tx) => claimClosedChunks(tx, now, null))
  expect(claimed).toHaveLength(200)
  const messages = await database.db.many<{ id: number }>('of', 'select id from messages where account_id = $1', [
    other.accountId,
  ])
  expect(claimed.some(({ messageId }) => messageId === messages[0]?.id)).toBe(true)
})

test('a process computes one flight plan of an account at a time, and others of other accounts meanwhile', async () => {
  const plan = (list: typeof hostile) =>
    requestFlightPlan(rt(), {
      accountId: list.accountId,
      listId: list.id,
      messageId: null,
      content,
      maxParts: null,
      linkBase: null,
      audience: null,
      sendAt: null,
    })
  const plans = [await plan(hostile), await plan(hostile), await plan(other)]
  const run = (n: number) =>
    computeFlightPlanJob.run(rt(), { flightPlanId: plans[n]?.id ?? 0 }, new AbortController().signal)
  const waiting = () =>
    database.db.exec('waiting', `select from pgboss.job where state = 'created' and start_after > now()`)
  const running: Array<Promise<void>> = []
  await database.db.tx(async (tx) => {
    // a plan reads the subscribers
    await tx.exec('lock', 'lock table subscribers in access exclusive mode')
    running.push(run(0), run(2))
    const locked = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    await waitFor(async () => (await database.db.exec('locked', locked)) === 2)
    await run(1)
    expect(await waiting()).toBe(1)
  })
  await Promise.all(running)
  await run(1)
  expect(await database.db.exec('done', `select from flight_plans where status = 'done'`)).toBe(3)
})
