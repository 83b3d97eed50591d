import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { make } from '../../../test/make.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { expandOnce } from '../../broadcasts/expand.ts'
import type { Chunk } from '../../log/chunk.ts'
import { claimChunks } from '../../log/claims.queries.ts'
import { acceptBroadcast } from '../../messages/messages.ts'
import { LeasedChunk } from '../submit/leased-chunk.ts'
import { timing } from '../timing.ts'
import { ChunkLeases } from './chunk-leases.ts'

const leaseMs = 60_000
let database: TestDatabase
let leases: ChunkLeases
let leased: LeasedChunk
let canSend: boolean
let isClosing: boolean
let aheadMs: number

beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.close())

beforeEach(async () => {
  const rt = makeRuntime({ db: database.db })
  const list = await make.list(database.db)
  await make.subscriber(database.db, { listId: list.id })
  await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Doors at seven' })
  while (await expandOnce(rt));
  const chunk = (await claim())[0] as Chunk
  leased = new LeasedChunk(chunk, [{ id: 1 } as never], performance.now() + leaseMs, leaseMs)
  canSend = true
  isClosing = false
  aheadMs = 0
  const { now } = performance
  vi.spyOn(performance, 'now').mockImplementation(() => now.call(performance) + aheadMs)
  leases = new ChunkLeases({
    db: database.db,
    log: rt.log,
    routes: { canSend: () => canSend },
    leaseMs,
    isClosing: () => isClosing,
  })
  leases.add(leased)
})
afterEach(async () => {
  vi.restoreAllMocks()
  await claim()
})

/** Claims chunks as another gateway; returns those that were not leased. */
function claim(): Promise<Chunk[]> {
  const lanes = { fromLane: 0, toLane: 2, limit: 10 }
  return claimChunks(database.db, { owner: crypto.randomUUID(), leaseMs, now: new Date(), ...lanes })
}

test('a chunk without a usable bind group for a second is released, long before its lease ends', async () => {
  canSend = false
  await leases.renew()
  expect(await claim()).toEqual([])
  aheadMs = timing.strandedMs + 1
  await leases.renew()
  expect((await claim()).map(({ id }) => id)).toEqual([leased.chunk.id])
  expect(leased.lost).toBe(true)
})

test('a chunk stays leased if its bind group is usable again within a second', async () => {
  canSend = false
  await leases.renew()
  canSend = true
  await leases.renew()
  canSend = false
  aheadMs = timing.strandedMs + 1
  await leases.renew()
  expect(await claim()).toEqual([])
})

test('a chunk with an open text is not released', async () => {
  isClosing = true
  leased.open = 1
  await leases.renew()
  expect(await claim()).toEqual([])
  leased.open = 0
  await leases.renew()
  expect(await claim()).toHaveLength(1)
})

test('a chunk that another gateway has leased is lost, and dropped when no text is open', async () => {
  leased.open = 1
  await database.db.exec('take_over', 'update send_chunks set epoch = epoch + 1 where id = $1', [leased.chunk.id])
  await leases.renew()
  expect(leased.lost).toBe(true)
  expect(leases.dropFinished()).toBe(false)
  leased.open = 0
  expect(leases.dropFinished()).toBe(true)
  expect(leases.all).toEqual([])
})
