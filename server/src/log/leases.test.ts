import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { listQueued } from '../../test/queued.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkCounters, readCounters } from '../../test/sending.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import type { Db } from '../db/db.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import type { Chunk, Recipient } from './chunk.ts'
import { claimChunks } from './claims.queries.ts'
import { abandonSubmitting, finishChunk, releaseChunks, renewLeases } from './leases.queries.ts'
import { markSubmitting, unmarkSubmitting } from './marks.queries.ts'
import { queueForLater } from './retry.queries.ts'

// A gateway that was suspended, or lost its database connection, resumes work on a chunk that another gateway has
// leased.

let database: TestDatabase
let messageId: number
let ownChunk: Chunk
let rows: Recipient[]

beforeEach(async () => {
  database = await freshDatabase()
  const rt = makeRuntime({ db: database.db })
  const list = await make.list(database.db)
  for (let n = 1; n <= 4; n++) await make.subscriber(database.db, { listId: list.id, phone: 2_065_560_000 + n })
  messageId = (await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Hello' })).id
  while (await expandOnce(rt));
  ownChunk = (await lease()) as Chunk
  rows = await listQueued(database.db, ownChunk)
})
afterEach(() => database.close())

async function lease(): Promise<Chunk | undefined> {
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: new Date(), fromLane: 0, toLane: 2, limit: 1 }
  return (await claimChunks(database.db, claim))[0]
}

const endLease = () => database.db.exec('end_lease', `update send_chunks set lease_until = now() - interval '1 second'`)

async function takeOver(): Promise<Chunk> {
  await endLease()
  return (await lease()) as Chunk
}

test('does not lease a chunk to a second gateway before its lease expires', async () => {
  expect(await lease()).toBeUndefined()
  expect((await takeOver()).epoch).toBe(2)
})

test('does not mark rows for an earlier owner', async () => {
  await takeOver()
  expect(await markSubmitting(database.db, ownChunk, rows, new Date())).toEqual([])
  expect(await readCounters(database.db, messageId)).toMatchObject({ queued: 4, submitting: 0, suppressed: 0 })
})

test("does not let an earlier owner undo its successor's marks, renew the lease or release the chunk", async () => {
  const successorChunk = await takeOver()
  expect(await markSubmitting(database.db, successorChunk, rows.slice(0, 2), new Date())).toHaveLength(2)
  await unmarkSubmitting(
    database.db,
    ownChunk,
    rows.map((row) => row.id),
  )
  await abandonSubmitting(database.db, ownChunk)
  expect(await readCounters(database.db, messageId)).toMatchObject({ queued: 2, submitting: 2, unknown: 0 })
  expect(await renewLeases(database.db, 60_000, [ownChunk])).toEqual(new Map())
  await releaseChunks(database.db, [ownChunk])
  expect(await lease()).toBeUndefined()
  await checkCounters(database.db, messageId)
})

test('does not lease a chunk while a mark in it is uncommitted, even after its lease has expired', async () => {
  await endLease()
  await database.db.tx(async (tx) => {
    expect(await markSubmitting(tx, ownChunk, rows.slice(0, 1), new Date())).toHaveLength(1)
    expect(await lease()).toBeUndefined()
  })
  const successorChunk = (await lease()) as Chunk
  await abandonSubmitting(database.db, successorChunk)
  expect(await readCounters(database.db, messageId)).toMatchObject({ queued: 3, submitting: 0, unknown: 1 })
  await checkCounters(database.db, messageId)
})

test.each([
  ['unmarks rows', (db: Db, ids: number[]) => unmarkSubmitting(db, ownChunk, ids)],
  [
    'queues rows for a later attempt',
    (db: Db, ids: number[]) => queueForLater(db, ownChunk, ids, new Date(Date.now() + 60_000)),
  ],
  ['abandons rows', (db: Db) => abandonSubmitting(db, ownChunk)],
])('does not lease a chunk while a statement that %s is uncommitted', async (_, change) => {
  const marked = await markSubmitting(database.db, ownChunk, rows.slice(0, 1), new Date())
  await endLease()
  await database.db.tx(async (tx) => {
    expect(await change(tx, marked)).toBe(1)
    expect(await lease()).toBeUndefined()
  })
  expect(await lease()).toMatchObject({ id: ownChunk.id, epoch: 2 })
  await checkCounters(database.db, messageId)
})

test.each([
  ['renewing', (db: Db, chunks: Chunk[]) => renewLeases(db, 60_000, chunks)],
  ['releasing', releaseChunks],
])('locks chunks in the order of their ids when %s them', async (_, change) => {
  let locked: unknown
  const db = {
    ...database.db,
    async exec(_name: string, _sql: unknown, params: unknown[] = []) {
      locked = params.find((param) => Array.isArray(param))
      return 0
    },
    async many(_name: string, _sql: unknown, params: unknown[] = []) {
      locked = params.find((param) => Array.isArray(param))
      return []
    },
  }
  await change(
    db,
    [30, 4, 200].map((id) => ({ ...ownChunk, id })),
  )
  expect(locked).toEqual([4, 30, 200])
})

test('closes a chunk without queued or submitting rows, for its current owner only', async () => {
  expect(await finishChunk(database.db, ownChunk)).toBe(false)
  await markSubmitting(database.db, ownChunk, rows, new Date())
  expect(await finishChunk(database.db, ownChunk)).toBe(false)
  await abandonSubmitting(database.db, ownChunk)
  expect(await finishChunk(database.db, { ...ownChunk, epoch: ownChunk.epoch - 1 })).toBe(false)
  expect(await finishChunk(database.db, ownChunk)).toBe(true)
  await endLease()
  expect(await lease()).toBeUndefined()
})
