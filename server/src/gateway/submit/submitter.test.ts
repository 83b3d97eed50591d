import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { make } from '../../../test/make.ts'
import { startCarrier } from '../../../test/odd-carrier.ts'
import { listQueued } from '../../../test/queued.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { checkCounters, readCounters } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { expandOnce } from '../../broadcasts/expand.ts'
import type { Connection } from '../../connections/connection.ts'
import { loadConnections } from '../../connections/connections.ts'
import type { Chunk, Recipient } from '../../log/chunk.ts'
import { claimChunks } from '../../log/claims.queries.ts'
import { acceptBroadcast } from '../../messages/messages.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'
import { BindGroup } from '../binds/bind-group.ts'
import { Caps, noCaps } from '../caps/caps.ts'
import { Meter } from '../meter.ts'
import { Attempts } from './attempts.ts'
import { LeasedChunk } from './leased-chunk.ts'
import { Recorder } from './recorder.ts'
import { Submitter } from './submitter.ts'
import { Trace } from './trace.ts'

const leaseMs = 60_000
let database: TestDatabase
let carrier: Awaited<ReturnType<typeof startCarrier>>
let group: BindGroup
let submitter: Submitter
let chunk: Chunk
let rows: Recipient[]
let messageId: number
let onSubmit: () => void

beforeEach(async () => {
  database = await freshDatabase()
  const { db } = database
  const rt = makeRuntime({ db })
  onSubmit = () => {}
  // the second part of a text is always throttled
  carrier = await startCarrier((pdu, ordinal) => {
    onSubmit()
    return pdu.short_message[5] === 2
      ? { command_status: commandStatus.ESME_RTHROTTLED }
      : { message_id: `id${ordinal}` }
  })
  const [connection] = await connectionsTo(db, carrier.port)
  const events = { onFree: () => {}, onChange: () => {}, onDeliver: () => {}, onLate: () => {} }
  group = new BindGroup(connection as Connection, {
    caps: new Caps(),
    responseDeadlineMs: 1_000,
    leaseMs,
    log: rt.log,
    events,
  })
  group.addSlot(0, performance.now() + leaseMs)
  await waitFor(() => group.bound === 1)
  const trace = new Trace(new Meter(rt.metrics, () => []), new Attempts(db, rt.log))
  submitter = new Submitter({ ...rt, db }, new Recorder({ ...rt, db }, () => 2), trace, () => {})
})
afterEach(async () => {
  vi.restoreAllMocks()
  await group.closeSlot(0)
  await carrier.server.close()
  await database.close()
})

async function connectionsTo(db: TestDatabase['db'], port: number): Promise<Connection[]> {
  await make.connection(db, { port })
  return loadConnections({ db, config: makeRuntime({ db }).config })
}

async function prepare(content: string) {
  const rt = makeRuntime({ db: database.db })
  const list = await make.list(database.db)
  await make.subscriber(database.db, { listId: list.id })
  messageId = (await acceptBroadcast(rt, { accountId: list.accountId, list, content })).id
  while (await expandOnce(rt));
  const claim = { owner: crypto.randomUUID(), leaseMs, now: new Date(), fromLane: 0, toLane: 2, limit: 1 }
  chunk = (await claimChunks(database.db, claim))[0] as Chunk
  rows = await listQueued(database.db, chunk)
}

const leased = (leaseUntil: number) => new LeasedChunk(chunk, rows, leaseUntil, leaseMs)

test('a gateway whose lease is about to end after the mark writes no PDU and unmarks the text', async () => {
  await prepare('short')
  const late = leased(performance.now() + 500)
  group.reserve(1, noCaps)
  await submitter.submit(late, group, late.take(10), 1)
  expect(carrier.submits).toEqual([])
  expect(await readCounters(database.db, messageId)).toMatchObject({ queued: 1, submitting: 0 })
  expect(late.open).toBe(0)
  expect(late.remaining).toBe(1)
  expect(group.windowSlots.free()).toBe(10)
})

test('a mark that took too long is repeated, so that consent is checked again', async () => {
  await prepare('short')
  const mine = leased(performance.now() + leaseMs)
  const { now } = performance
  let aheadMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now.call(performance) + aheadMs)
  group.reserve(1, noCaps)
  const submitted = submitter.submit(mine, group, mine.take(10), 1)
  aheadMs = 700
  await submitted
  expect(carrier.submits).toEqual([])
  expect(await readCounters(database.db, messageId)).toMatchObject({ queued: 1, submitting: 0 })
  expect(mine.remaining).toBe(1)
  expect(mine.ready()).toBe(0)
  aheadMs = 2_000
  await waitFor(() => mine.ready() === 1)
  group.reserve(1, noCaps)
  await submitter.submit(mine, group, mine.take(10), 1)
  await waitFor(() => carrier.submits.length === 1)
  await waitFor(() => mine.open === 0)
})

test('remaining parts of a text are not written after the lease has ended', async () => {
  await prepare('x'.repeat(400))
  const mine = leased(performance.now() + leaseMs)
  group.reserve(3, noCaps)
  await submitter.submit(mine, group, mine.take(10), 3)
  await waitFor(() => carrier.submits.length === 3)
  await waitFor(() => [...group.slots][0]?.transmitting?.inFlight === 0)
  mine.leaseUntil = performance.now()
  await waitFor(async () => {
    submitter.resume(performance.now() + 1_000, () => {})
    return mine.open === 0
  })
  expect(carrier.submits).toHaveLength(3)
  expect(await readCounters(database.db, messageId)).toMatchObject({ unknown: 1, submitting: 0 })
  await checkCounters(database.db, messageId)
})

test('setting the wall clock while a text is in flight does not change its response time', async () => {
  const { now } = Date
  onSubmit = () => vi.spyOn(Date, 'now').mockImplementation(() => now() + 3_000_000_000)
  await prepare('short')
  const mine = leased(performance.now() + leaseMs)
  group.reserve(1, noCaps)
  await submitter.submit(mine, group, mine.take(10), 1)
  await waitFor(() => mine.open === 0)
  vi.restoreAllMocks()
  expect(await readCounters(database.db, messageId)).toMatchObject({ sent: 1, submitting: 0 })
  const { ms } = await database.db.one<{ ms: number }>('ms', 'select response_ms as ms from submits')
  expect(ms).toBeLessThan(10_000)
})

test('nothing is written in the last second of a lease', async () => {
  await prepare('short')
  expect(leased(1_000).mayWrite(1)).toBe(false)
  expect(leased(1_002).mayWrite(1)).toBe(true)
  const lost = leased(1_000_000)
  lost.lost = true
  expect(lost.mayWrite(1)).toBe(false)
})
