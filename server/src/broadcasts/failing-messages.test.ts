import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { retryNow } from '../log/failures.queries.ts'
import { finishMessages } from '../log/finish.queries.ts'
import { createDraft, startDue } from '../messages/drafts/drafts.ts'
import { presentMessage } from '../messages/messages.schema.ts'
import { acceptBroadcast, getMessage } from '../messages/messages.ts'
import { measureDatabase } from '../reports/metrics.ts'
import { billSent } from './bill.ts'
import { closeOverdueJob } from './broadcasts.jobs.ts'
import { cancelQueued } from './cancelled.ts'
import { expandOnce } from './expand.ts'
import { reopenClosed, suppressLate } from './reopen.ts'
import { finishSent, retryFailed } from './sweeps.ts'

// A message for which a statement always fails does not delay the others. It is the first of three. Its work is retried
// alone after growing pauses, and set aside in the end.

let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
let now: Date
let ids: number[]
let errors: string[]
const log = pino({ level: 'error' }, { write: (line) => void errors.push(JSON.parse(line).msg) })
const rt = () => ({ ...makeRuntime({ db: database.db, log }), clock: { now: () => now } })

beforeEach(async () => {
  database = await freshDatabase()
  list = await make.list(database.db)
  await make.subscriber(database.db, { listId: list.id, phone: 2_065_560_001 })
  now = new Date('2031-05-06T23:30:00Z')
  errors = []
})
afterEach(() => database.close())

let statements = 0
const set = (sql: string) => database.db.exec(`set_${++statements}`, sql)

async function send() {
  await accept()
  while (await expandOnce(rt()));
}

async function accept() {
  ids = []
  for (let n = 0; n < 3; n++) {
    const input = { accountId: list.accountId, list, content: 'Soup on Friday' }
    ids.push((await acceptBroadcast(rt(), input)).id)
  }
}

async function finish() {
  await set(`update message_log set state = 'sent'`)
  await set(`update message_counters set queued = 0, sent = (counter_row = 0)::int`)
  await finishMessages(database.db, now)
}

/** Makes all changes of the first message's rows in this table fail; returns a function that ends this. */
async function failChanges(table: 'messages' | 'send_chunks' | 'message_counters') {
  const column = table === 'messages' ? 'id' : 'message_id'
  await set(`create function fail_changes() returns trigger language plpgsql as $$ begin raise 'broken row'; end $$`)
  await set(`create trigger fail_changes before update or delete on ${table} for each row
               when (old.${column} = ${ids[0]}) execute function fail_changes()`)
  return () => set(`drop trigger fail_changes on ${table}`)
}

const idsWhere = async (condition: string) =>
  (
    await database.db.many<{ id: number }>(
      `where_${++statements}`,
      `select id from messages where ${condition} order by id`,
    )
  ).map(({ id }) => id)

/** Returns the failures as [message, sweep, failures in succession, whether it is set aside]. */
const failures = async () =>
  (
    await database.db.many<{ id: number; sweep: string; attempts: number; aside: boolean }>(
      'failures',
      `select message_id as id, sweep, attempts, set_aside_at is not null as aside from message_failures order by 1, 2`,
    )
  ).map(({ id, sweep, attempts, aside }) => [id, sweep, attempts, aside])

/** Lets time pass, and retries the failed work that is due by then. */
async function retryAfter(seconds: number) {
  now = new Date(now.getTime() + seconds * 1_000)
  return retryFailed(rt())
}

test('billing: bills the other messages, and the failing one after the repair', async () => {
  await send()
  await finish()
  const repair = await failChanges('messages')
  expect(await billSent(rt())).toBe(true)
  expect(await idsWhere('billed_at is not null')).toEqual(ids.slice(1))
  // later rounds skip it
  expect(await billSent(rt())).toBe(false)
  expect(await failures()).toEqual([[ids[0], 'bill', 1, false]])
  await repair()
  expect(await billSent(rt())).toBe(false)
  expect(await retryAfter(1)).toBe(true)
  expect(await idsWhere('billed_at is not null')).toEqual(ids)
  expect(await failures()).toEqual([])
})

test('closing: closes the other messages, and the failing one after the repair', async () => {
  await send()
  await finish()
  await set(`update messages set sent_at = sent_at - interval '1 hour' where id = ${ids[0]}`)
  const repair = await failChanges('messages')
  now = new Date('2031-06-01T00:00:00Z')
  await closeOverdueJob.run(rt(), {}, new AbortController().signal)
  expect(await idsWhere('closed_at is not null')).toEqual(ids.slice(1))
  expect(await failures()).toEqual([[ids[0], 'close', 1, false]])
  await repair()
  await retryAfter(1)
  expect(await idsWhere('closed_at is not null')).toEqual(ids)
  expect(await failures()).toEqual([])
})

test('reopening: sets the next windows of the other messages, and of the failing one after the repair', async () => {
  await set(`update accounts set quiet_hours = true`)
  await send()
  const repair = await failChanges('send_chunks')
  now = new Date('2031-05-07T10:00:00Z')
  const closed = `exists (select from send_chunks where message_id = messages.id and closes_at < '2031-05-07T10:00:00Z')`
  expect(await reopenClosed(rt())).toBe(true)
  expect(await idsWhere(closed)).toEqual([ids[0]])
  expect(await reopenClosed(rt())).toBe(false)
  expect(await failures()).toEqual([[ids[0], 'reopen', 1, false]])
  await repair()
  await retryAfter(1)
  expect(await idsWhere(closed)).toEqual([])
  expect(await failures()).toEqual([])
})

test('starting: starts the other due messages, and the failing one after the repair', async () => {
  ids = []
  const dueAt = new Date('2031-05-07T10:00:00Z')
  for (let n = 0; n < 3; n++) {
    ids.push((await createDraft(rt(), { accountId: list.accountId, list, content: 'Soup' }, dueAt)).id)
  }
  const repair = await failChanges('messages')
  now = dueAt
  expect(await startDue(rt())).toBe(false)
  expect(await startDue(rt())).toBe(true)
  expect(await startDue(rt())).toBe(true)
  expect(await idsWhere(`status = 'sending'`)).toEqual(ids.slice(1))
  expect(await startDue(rt())).toBe(false)
  expect(await failures()).toEqual([[ids[0], 'start', 1, false]])
  await repair()
  await retryAfter(1)
  expect(await idsWhere(`status = 'sending'`)).toEqual(ids)
  expect(await failures()).toEqual([])
})

test('finishing: finishes the other messages, and the failing one after the repair', async () => {
  await send()
  await set(`update message_log set state = 'sent'`)
  await set(`update message_counters set queued = 0, sent = (counter_row = 0)::int`)
  const repair = await failChanges('messages')
  expect(await finishSent(rt())).toBe(true)
  expect(await idsWhere(`status = 'sent'`)).toEqual(ids.slice(1))
  expect(await finishSent(rt())).toBe(false)
  await repair()
  await retryAfter(1)
  expect(await idsWhere(`status = 'sent'`)).toEqual(ids)
  expect(await failures()).toEqual([])
})

test.each([
  ['cancelling', 'cancel', `update messages set status = 'cancelled', cancelled_at = now()`, cancelQueued],
  ['the deadline', 'suppress', `update messages set deliver_by = '2031-05-06T23:30:00Z'`, suppressLate],
] as const)(
  '%s: ends the queued rows of the other messages, and of the failing one after the repair',
  async (_, sweep, change, end) => {
    await send()
    await set(change)
    const repair = await failChanges('message_counters')
    const queued = `(select queued from message_totals where message_id = messages.id) > 0`
    expect(await end(rt())).toBe(2)
    expect(await idsWhere(queued)).toEqual([ids[0]])
    expect(await end(rt())).toBe(0)
    expect(await failures()).toEqual([[ids[0], sweep, 1, false]])
    await repair()
    await retryAfter(1)
    expect(await idsWhere(queued)).toEqual([])
    expect(await failures()).toEqual([])
  },
)

/** Makes each slice of the first message's audience end its database session. */
async function endSessions() {
  await set(`create function end_session() returns trigger language plpgsql as
               $$ begin perform pg_terminate_backend(pg_backend_pid()); return new; end $$`)
  await set(`create trigger end_session before update on expansions for each row
               when (old.message_id = ${ids[0]}) execute function end_session()`)
}

test('expanding: a message that ends its database session each time is set aside, and delays no other', async () => {
  await accept()
  await endSessions()
  expect(await expandOnce(rt())).toBe(true)
  while (await expandOnce(rt()));
  expect(await idsWhere('expanded_at is not null')).toEqual(ids.slice(1))
  expect(await failures()).toEqual([[ids[0], 'expand', 1, false]])
  expect(await retryFailed(rt())).toBe(false)
  for (const [pause, attempts] of [
    [1, 2],
    [5, 3],
    [30, 4],
    [120, 5],
  ] as const) {
    expect(await retryAfter(pause - 1)).toBe(false)
    expect(await retryAfter(1)).toBe(true)
    expect(await failures()).toEqual([[ids[0], 'expand', attempts, attempts === 5]])
    expect(errors).toEqual(attempts === 5 ? ['message set aside'] : [])
  }
  const view = async () =>
    presentMessage(await getMessage(database.db, list.accountId, list.id, ids[0] as number), 'UTC', now)
  expect((await view()).set_aside).toEqual([
    {
      work: 'expand',
      since: '2031-05-06T23:30:00+00:00',
      attempts: 5,
      error: 'PostgreSQL error 57P01',
      retry_at: '2031-05-07T00:32:36+00:00',
    },
  ])
  const gauge = async () =>
    (await measureDatabase(rt())).find(({ name }) => name === 'carillon_set_aside_messages')?.values
  expect(await gauge()).toEqual([{ labels: { work: 'expand' }, value: 1 }])
  expect(await retryAfter(3_599)).toBe(false)
  expect(await retryAfter(1)).toBe(true)
  expect(await failures()).toEqual([[ids[0], 'expand', 6, true]])
  await set('drop trigger end_session on expansions')
  expect(await retryNow(database.db, ids[0] as number, now)).toBe(1)
  expect(await retryFailed(rt())).toBe(true)
  while (await expandOnce(rt()));
  expect(await idsWhere('expanded_at is not null')).toEqual(ids)
  expect(await view()).not.toHaveProperty('set_aside')
  expect(await gauge()).toEqual([])
})

test('two workers retry each failure once', async () => {
  await accept()
  await endSessions()
  await expandOnce(rt())
  now = new Date(now.getTime() + 1_000)
  expect((await Promise.all([retryFailed(rt()), retryFailed(rt())])).sort()).toEqual([false, true])
  expect(await failures()).toEqual([[ids[0], 'expand', 2, false]])
})
