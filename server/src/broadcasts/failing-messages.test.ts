import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { finishMessages } from '../log/finish.queries.ts'
import { createDraft, startDue } from '../messages/drafts/drafts.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { billSent } from './bill.ts'
import { closeOverdueJob } from './broadcasts.jobs.ts'
import { cancelQueued } from './cancelled.ts'
import { expandOnce } from './expand.ts'
import { reopenClosed, suppressLate } from './reopen.ts'

// A message for which a statement always fails does not delay the others. It is the first of three.

let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
let now: Date
let ids: number[]
const rt = () => ({ ...makeRuntime({ db: database.db }), clock: { now: () => now } })

beforeEach(async () => {
  database = await freshDatabase()
  list = await make.list(database.db)
  await make.subscriber(database.db, { listId: list.id, phone: 2_065_560_001 })
  now = new Date('2031-05-06T23:30:00Z')
})
afterEach(() => database.close())

let statements = 0
const set = (sql: string) => database.db.exec(`set_${++statements}`, sql)

async function send() {
  ids = []
  for (let n = 0; n < 3; n++) {
    const input = { accountId: list.accountId, list, content: 'Soup on Friday' }
    ids.push((await acceptBroadcast(rt(), input)).id)
  }
  while (await expandOnce(rt()));
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

test('billing: bills the other messages, and the failing one after the repair', async () => {
  await send()
  await finish()
  const repair = await failChanges('messages')
  const failed = new Set<number>()
  await expect(billSent(rt(), failed)).rejects.toThrow('broken row')
  expect(await idsWhere('billed_at is not null')).toEqual(ids.slice(1))
  // the failed message is skipped until no other message has work
  await set(`update messages set billed_at = null where id = ${ids[2]}`)
  expect(await billSent(rt(), failed)).toBe(true)
  expect(await idsWhere('billed_at is not null')).toEqual(ids.slice(1))
  expect(await billSent(rt(), failed)).toBe(false)
  await expect(billSent(rt(), failed)).rejects.toThrow('broken row')
  expect(await billSent(rt(), failed)).toBe(false)
  await repair()
  expect(await billSent(rt(), failed)).toBe(true)
  expect(await idsWhere('billed_at is not null')).toEqual(ids)
})

test('closing: closes the other messages, and the failing one after the repair', async () => {
  await send()
  await finish()
  await set(`update messages set sent_at = sent_at - interval '1 hour' where id = ${ids[0]}`)
  const repair = await failChanges('messages')
  now = new Date('2031-06-01T00:00:00Z')
  const close = async () => closeOverdueJob.run(rt(), {}, new AbortController().signal)
  await expect(close()).rejects.toThrow('broken row')
  expect(await idsWhere('closed_at is not null')).toEqual(ids.slice(1))
  await repair()
  await close()
  expect(await idsWhere('closed_at is not null')).toEqual(ids)
})

test('reopening: sets the next windows of the other messages, and of the failing one after the repair', async () => {
  await set(`update accounts set quiet_hours = true`)
  await send()
  const repair = await failChanges('send_chunks')
  now = new Date('2031-05-07T10:00:00Z')
  const failed = new Set<number>()
  const closed = `exists (select from send_chunks where message_id = messages.id and closes_at < '2031-05-07T10:00:00Z')`
  await expect(reopenClosed(rt(), failed)).rejects.toThrow('broken row')
  expect(await idsWhere(closed)).toEqual([ids[0]])
  expect(await reopenClosed(rt(), failed)).toBe(false)
  await repair()
  expect(await reopenClosed(rt(), failed)).toBe(true)
  expect(await idsWhere(closed)).toEqual([])
})

test('starting: starts the other due messages, and the failing one after the repair', async () => {
  ids = []
  const dueAt = new Date('2031-05-07T10:00:00Z')
  for (let n = 0; n < 3; n++) {
    ids.push((await createDraft(rt(), { accountId: list.accountId, list, content: 'Soup' }, dueAt)).id)
  }
  const repair = await failChanges('messages')
  now = dueAt
  const failed = new Set<number>()
  await expect(startDue(rt(), failed)).rejects.toThrow('broken row')
  expect(await startDue(rt(), failed)).toBe(true)
  expect(await startDue(rt(), failed)).toBe(true)
  expect(await idsWhere(`status = 'sending'`)).toEqual(ids.slice(1))
  expect(await startDue(rt(), failed)).toBe(false)
  await expect(startDue(rt(), failed)).rejects.toThrow('broken row')
  expect(await startDue(rt(), failed)).toBe(false)
  await repair()
  expect(await startDue(rt(), failed)).toBe(true)
  expect(await idsWhere(`status = 'sending'`)).toEqual(ids)
})

test.each([
  ['cancelling', `update messages set status = 'cancelled', cancelled_at = now()`, cancelQueued],
  ['the deadline', `update messages set deliver_by = '2031-05-06T23:30:00Z'`, suppressLate],
] as const)(
  '%s: ends the queued rows of the other messages, and of the failing one after the repair',
  async (_, change, end) => {
    await send()
    await set(change)
    const repair = await failChanges('message_counters')
    const queued = `(select queued from message_totals where message_id = messages.id) > 0`
    await expect(end(rt())).rejects.toThrow('broken row')
    expect(await idsWhere(queued)).toEqual([ids[0]])
    await repair()
    expect(await end(rt())).toBe(1)
    expect(await idsWhere(queued)).toEqual([])
  },
)
