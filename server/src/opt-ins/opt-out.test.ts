import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import { clientDb, type Db } from '../db/db.ts'
import type { Chunk } from '../log/chunk.ts'
import { claimChunks } from '../log/claims.queries.ts'
import { abandonSubmitting } from '../log/leases.queries.ts'
import { markSent, markSubmitting } from '../log/marks.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { isInForce, optOut } from './opt-out.ts'

let database: TestDatabase
let list: Awaited<ReturnType<typeof make.list>>
let messageId: number
let chunk: Chunk
const phone = 2_065_560_002
/** Number of queries for texts that are submitting to a number. */
let queries: number
const counting = (db: Db): Db => ({
  ...db,
  one: <T>(...given: Parameters<Db['one']>) => {
    if (given[0] === 'count_submitting') queries++
    return db.one<T>(...given)
  },
})
const rt = () => makeRuntime({ db: counting(database.db) })

beforeEach(async () => {
  queries = 0
  database = await freshDatabase()
  list = await make.list(database.db)
  for (const each of [phone - 1, phone, phone + 1]) await make.subscriber(database.db, { listId: list.id, phone: each })
  messageId = (await acceptBroadcast(rt(), { accountId: list.accountId, list, content: 'Hello' })).id
  while (await expandOnce(rt()));
  chunk = await lease(60_000)
})
afterEach(() => database.close())

async function lease(leaseMs: number): Promise<Chunk> {
  const claim = { owner: crypto.randomUUID(), leaseMs, now: new Date(), fromLane: 0, toLane: 2, limit: 1 }
  const [leased] = await claimChunks(database.db, claim)
  if (!leased) throw new Error('no chunk to lease')
  return leased
}

const optOutPhone = () =>
  optOut(rt(), { accountId: list.accountId, listId: list.id, phone, method: 'api', actor: 'key:1' })

const rowState = async () =>
  (await database.db.one<{ state: string }>('s', 'select state from message_log where phone = $1', [phone])).state

/** Returns whether a promise settles; false once it has run a few more queries, or waits for a lock. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false
  promise.finally(() => {
    done = true
  })
  const before = queries
  const lock = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
  await waitFor(async () => done || queries > before + 2 || (await database.db.exec('lock', lock)) > 0)
  return done
}

test('an opt-out suppresses queued rows, with the ledger, the counts and the counters', async () => {
  expect(await optOutPhone()).toBe('opted_out')
  expect(await rowState()).toBe('suppressed')
  expect(await readCounters(database.db, messageId)).toMatchObject({ audience: 3, queued: 2, suppressed: 1 })
  await checkCounters(database.db, messageId)
  expect(await database.db.many('ledger', 'select kind, method, actor from opts')).toEqual([
    { kind: 'opt_out', method: 'api', actor: 'key:1' },
  ])
  const sums = 'select sum(subscribed)::int as subscribed, sum(unsubscribed)::int as unsubscribed from list_deltas'
  expect(await database.db.one('was_out', sums)).toEqual({ subscribed: 2, unsubscribed: 1 })
  expect(await optOutPhone()).toBe('was_out')
  expect(await database.db.many('ledger_size', 'select 1 from opts')).toHaveLength(1)
})

test('queued rows are suppressed in the transaction of the opt-out, even if the process dies before it is in force', async () => {
  const died = () => Promise.reject(new Error('killed'))
  const dying = { ...rt(), db: { ...database.db, exec: died, one: died } }
  const optingOut = optOut(dying, { accountId: list.accountId, listId: list.id, phone, method: 'api', actor: 'key:1' })
  await expect(optingOut).rejects.toThrow('killed')
  expect(await rowState()).toBe('suppressed')
  await checkCounters(database.db, messageId)
})

test('a number that was never on the list is unknown', async () => {
  expect(await optOut(rt(), { accountId: 1, listId: list.id, phone: 2_065_569_999, method: 'api', actor: 'x' })).toBe(
    'unknown',
  )
})

test('an opt-out is not in force until the submitting text has a response', async () => {
  const queued = await listQueued(database.db, chunk)
  const marked = await markSubmitting(database.db, chunk, queued, new Date())
  expect(marked).toHaveLength(3)
  const optingOut = optOutPhone()
  expect(await settled(optingOut)).toBe(false)
  await database.db.exec(
    'insert_connection',
    `insert into connections (name, created_at, updated_at) values ('default', now(), now())`,
  )
  const accepted = queued.map((row, n) => ({
    logId: row.id,
    phone: row.phone,
    part: 0,
    smscId: `a${n}`,
    complete: true,
  }))
  await markSent(database.db, chunk.loggedOn, 1, accepted)
  expect(await optingOut).toBe('opted_out')
  await checkCounters(database.db, messageId)
})

test('an opt-out waits for an uncommitted mark, and for the text that it marked', async () => {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  await client.query('begin')
  const marked = await markSubmitting(clientDb(client), chunk, await listQueued(database.db, chunk), new Date())
  expect(marked).toHaveLength(3)
  const optingOut = optOutPhone()
  expect(await settled(optingOut)).toBe(false)
  await client.query('commit')
  await client.end()
  // marked before the opt-out was in force: it now waits for the response
  expect(await settled(optingOut)).toBe(false)
  expect(await rowState()).toBe('submitting')
  // after the lease has expired, no gateway writes the PDU
  await database.db.exec('end_lease', `update send_chunks set lease_until = clock_timestamp() - interval '1 second'`)
  expect(await optingOut).toBe('opted_out')
})

test('a committed opt-out is not in force while a mark that began before it is uncommitted', async () => {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  await client.query('begin')
  // a row that the opt-out did not find, because its slice was not yet committed
  expect(await markSubmitting(clientDb(client), chunk, await listQueued(database.db, chunk), new Date())).toHaveLength(
    3,
  )
  await database.db.exec(
    'unsubscribe',
    `update subscribers set state = 'unsubscribed', opted_out_at = now() where phone = $1`,
    [phone],
  )
  const inForce = isInForce(database.db, phone, { listIds: [list.id], shortCodeId: null }, new Date())
  expect(await settled(inForce)).toBe(false)
  await client.query('commit')
  await client.end()
  expect(await inForce).toBe(false)
})

test('a mark whose snapshot is older than the opt-out submits nothing', async () => {
  // the mark's statement has begun and waits for the lock of another row when the opt-out commits
  const blocker = new pg.Client({ connectionString: database.url })
  await blocker.connect()
  await blocker.query('begin')
  await blocker.query('select from message_log where phone = $1 for update', [phone - 1])
  const marking = markSubmitting(database.db, chunk, await listQueued(database.db, chunk), new Date())
  await waitFor(async () => {
    const sql = `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%mark_submitting%' and pid <> pg_backend_pid()
                  and datname = current_database()`
    return (await database.db.exec('opted_out', sql)) === 1
  })
  expect(await optOutPhone()).toBe('opted_out')
  await blocker.query('commit')
  await blocker.end()
  const marked = await marking
  expect(marked).toHaveLength(2)
  expect(await rowState()).toBe('suppressed')
  await checkCounters(database.db, messageId)
})

test('rows written after the opt-out by an older expansion are suppressed by the mark', async () => {
  await database.db.exec(
    'unsubscribe',
    `update subscribers set state = 'unsubscribed', opted_out_at = now() where phone = $1`,
    [phone],
  )
  const marked = await markSubmitting(database.db, chunk, await listQueued(database.db, chunk), new Date())
  expect(marked).toHaveLength(2)
  expect(await rowState()).toBe('suppressed')
  await checkCounters(database.db, messageId)
})

test('a cancelled message is not marked', async () => {
  await database.db.exec('cancel', `update messages set status = 'cancelled' where id = $1`, [messageId])
  expect(await markSubmitting(database.db, chunk, await listQueued(database.db, chunk), new Date())).toEqual([])
  expect(await readCounters(database.db, messageId)).toMatchObject({ queued: 0, cancelled: 3 })
  await checkCounters(database.db, messageId)
})

test('after a takeover the old lease cannot mark rows, and its submitting rows are unknown', async () => {
  const queued = await listQueued(database.db, chunk)
  await markSubmitting(database.db, chunk, queued.slice(0, 1), new Date())
  await database.db.exec('end_lease', `update send_chunks set lease_until = clock_timestamp() - interval '1 second'`)
  const successorChunk = await lease(60_000)
  expect(successorChunk.epoch).toBe(chunk.epoch + 1)
  expect(await abandonSubmitting(database.db, successorChunk)).toBe(1)
  expect(await markSubmitting(database.db, chunk, queued.slice(1), new Date())).toEqual([])
  expect(await markSubmitting(database.db, successorChunk, queued, new Date())).toHaveLength(2)
  expect(await readCounters(database.db, messageId)).toMatchObject({ queued: 0, submitting: 2, unknown: 1 })
  await checkCounters(database.db, messageId)
})
