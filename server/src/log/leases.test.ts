import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../test/database.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { checkBooks, readCounters } from '../../test/sending.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import type { Db } from '../db/db.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import type { Chunk, Recipient } from './chunk.ts'
import { claimChunks } from './claims.queries.ts'
import { abandonSubmitting, finishChunk, releaseChunks, renewLeases } from './leases.queries.ts'
import { listQueued, markSubmitting, unmarkSubmitting } from './marks.queries.ts'
import { queueForLater } from './retry.queries.ts'

// A gateway that was frozen, or cut off from the database, wakes up and goes on as if its chunk were still its own.

let database: TestDatabase
let messageId: number
let mine: Chunk
let rows: Recipient[]

beforeEach(async () => {
  database = await freshDatabase()
  const rt = makeRuntime({ db: database.db })
  const list = await make.list(database.db)
  for (let n = 1; n <= 4; n++) await make.subscriber(database.db, { listId: list.id, phone: 2_065_560_000 + n })
  messageId = (await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Hello' })).id
  while (await expandOnce(rt));
  mine = (await lease()) as Chunk
  rows = await listQueued(database.db, mine)
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

test("a chunk under lease is its owner's alone", async () => {
  expect(await lease()).toBeUndefined()
  expect((await takeOver()).epoch).toBe(2)
})

test('an earlier owner marks nothing any more', async () => {
  await takeOver()
  expect(await markSubmitting(database.db, mine, rows, new Date())).toEqual([])
  expect(await readCounters(database.db, messageId)).toMatchObject({ queued: 4, submitting: 0, suppressed: 0 })
})

test('an earlier owner takes no marks of its successor back, and ends nothing of it', async () => {
  const theirs = await takeOver()
  expect(await markSubmitting(database.db, theirs, rows.slice(0, 2), new Date())).toHaveLength(2)
  await unmarkSubmitting(
    database.db,
    mine,
    rows.map((row) => row.id),
  )
  await abandonSubmitting(database.db, mine)
  expect(await readCounters(database.db, messageId)).toMatchObject({ queued: 2, submitting: 2, unknown: 0 })
  expect(await renewLeases(database.db, 60_000, [mine])).toEqual(new Map())
  await releaseChunks(database.db, [mine])
  expect(await lease()).toBeUndefined()
  await checkBooks(database.db, messageId)
})

test('a chunk cannot be taken over while a mark in it is being made, even past its lease', async () => {
  await endLease()
  await database.db.tx(async (tx) => {
    expect(await markSubmitting(tx, mine, rows.slice(0, 1), new Date())).toHaveLength(1)
    expect(await lease()).toBeUndefined()
  })
  const theirs = (await lease()) as Chunk
  await abandonSubmitting(database.db, theirs)
  expect(await readCounters(database.db, messageId)).toMatchObject({ queued: 3, submitting: 0, unknown: 1 })
  await checkBooks(database.db, messageId)
})

test.each([
  ['taken back', (db: Db, ids: number[]) => unmarkSubmitting(db, mine, ids)],
  [
    'queued for a later attempt',
    (db: Db, ids: number[]) => queueForLater(db, mine, ids, new Date(Date.now() + 60_000)),
  ],
  ['given up', (db: Db) => abandonSubmitting(db, mine)],
])('a chunk cannot be taken over while a mark in it is being %s', async (_, change) => {
  const marked = await markSubmitting(database.db, mine, rows.slice(0, 1), new Date())
  await endLease()
  await database.db.tx(async (tx) => {
    expect(await change(tx, marked)).toBe(1)
    expect(await lease()).toBeUndefined()
  })
  expect(await lease()).toMatchObject({ id: mine.id, epoch: 2 })
  await checkBooks(database.db, messageId)
})

test.each([
  ['renewed', (db: Db, chunks: Chunk[]) => renewLeases(db, 60_000, chunks)],
  ['released', releaseChunks],
])('chunks are locked in the order of their ids when they are %s', async (_, change) => {
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
    [30, 4, 200].map((id) => ({ ...mine, id })),
  )
  expect(locked).toEqual([4, 30, 200])
})

test('a chunk is closed when nobody in it is queued or submitting, by its owner only', async () => {
  expect(await finishChunk(database.db, mine)).toBe(false)
  await markSubmitting(database.db, mine, rows, new Date())
  expect(await finishChunk(database.db, mine)).toBe(false)
  await abandonSubmitting(database.db, mine)
  expect(await finishChunk(database.db, { ...mine, epoch: mine.epoch - 1 })).toBe(false)
  expect(await finishChunk(database.db, mine)).toBe(true)
  await endLease()
  expect(await lease()).toBeUndefined()
})
