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

// One message of which a statement always fails holds up no others: it is the first of three.

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

/** From now on no row of the first message can be changed in this table; the answer ends that. */
async function spoil(table: 'messages' | 'send_chunks' | 'message_counters') {
  const column = table === 'messages' ? 'id' : 'message_id'
  await set(`create function spoil() returns trigger language plpgsql as $$ begin raise 'it is spoilt'; end $$`)
  await set(`create trigger spoil before update or delete on ${table} for each row
               when (old.${column} = ${ids[0]}) execute function spoil()`)
  return () => set(`drop trigger spoil on ${table}`)
}

const where = async (condition: string) =>
  (
    await database.db.many<{ id: number }>(
      `where_${++statements}`,
      `select id from messages where ${condition} order by id`,
    )
  ).map(({ id }) => id)

test('their bills are written, and its own when it can be', async () => {
  await send()
  await finish()
  const mend = await spoil('messages')
  const failed = new Set<number>()
  await expect(billSent(rt(), failed)).rejects.toThrow('it is spoilt')
  expect(await where('billed_at is not null')).toEqual(ids.slice(1))
  // it is passed over, until there is nothing else
  await set(`update messages set billed_at = null where id = ${ids[2]}`)
  expect(await billSent(rt(), failed)).toBe(true)
  expect(await where('billed_at is not null')).toEqual(ids.slice(1))
  expect(await billSent(rt(), failed)).toBe(false)
  await expect(billSent(rt(), failed)).rejects.toThrow('it is spoilt')
  expect(await billSent(rt(), failed)).toBe(false)
  await mend()
  expect(await billSent(rt(), failed)).toBe(true)
  expect(await where('billed_at is not null')).toEqual(ids)
})

test('they are closed, and it when it can be', async () => {
  await send()
  await finish()
  await set(`update messages set sent_at = sent_at - interval '1 hour' where id = ${ids[0]}`)
  const mend = await spoil('messages')
  now = new Date('2031-06-01T00:00:00Z')
  const close = async () => closeOverdueJob.run(rt(), {}, new AbortController().signal)
  await expect(close()).rejects.toThrow('it is spoilt')
  expect(await where('closed_at is not null')).toEqual(ids.slice(1))
  await mend()
  await close()
  expect(await where('closed_at is not null')).toEqual(ids)
})

test('their windows are opened, and its own when they can be', async () => {
  await set(`update accounts set quiet_hours = true`)
  await send()
  const mend = await spoil('send_chunks')
  now = new Date('2031-05-07T10:00:00Z')
  const failed = new Set<number>()
  const closed = `exists (select from send_chunks where message_id = messages.id and closes_at < '2031-05-07T10:00:00Z')`
  await expect(reopenClosed(rt(), failed)).rejects.toThrow('it is spoilt')
  expect(await where(closed)).toEqual([ids[0]])
  expect(await reopenClosed(rt(), failed)).toBe(false)
  await mend()
  expect(await reopenClosed(rt(), failed)).toBe(true)
  expect(await where(closed)).toEqual([])
})

test('they start when they are due, and it when it can', async () => {
  ids = []
  const dueAt = new Date('2031-05-07T10:00:00Z')
  for (let n = 0; n < 3; n++) {
    ids.push((await createDraft(rt(), { accountId: list.accountId, list, content: 'Soup' }, dueAt)).id)
  }
  const mend = await spoil('messages')
  now = dueAt
  const failed = new Set<number>()
  await expect(startDue(rt(), failed)).rejects.toThrow('it is spoilt')
  expect(await startDue(rt(), failed)).toBe(true)
  expect(await startDue(rt(), failed)).toBe(true)
  expect(await where(`status = 'sending'`)).toEqual(ids.slice(1))
  expect(await startDue(rt(), failed)).toBe(false)
  await expect(startDue(rt(), failed)).rejects.toThrow('it is spoilt')
  expect(await startDue(rt(), failed)).toBe(false)
  await mend()
  expect(await startDue(rt(), failed)).toBe(true)
  expect(await where(`status = 'sending'`)).toEqual(ids)
})

test.each([
  ['cancelled', `update messages set status = 'cancelled', cancelled_at = now()`, cancelQueued],
  ['at their deadline', `update messages set deliver_by = '2031-05-06T23:30:00Z'`, suppressLate],
] as const)('who is queued in them does not stay so when they are %s', async (_, change, end) => {
  await send()
  await set(change)
  const mend = await spoil('message_counters')
  const queued = `(select queued from message_totals where message_id = messages.id) > 0`
  await expect(end(rt())).rejects.toThrow('it is spoilt')
  expect(await where(queued)).toEqual([ids[0]])
  await mend()
  expect(await end(rt())).toBe(1)
  expect(await where(queued)).toEqual([])
})
