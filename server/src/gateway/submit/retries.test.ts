import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Responder, startOddCarrier } from '../../../test/odd-carrier.ts'
import { listQueued } from '../../../test/queued.ts'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { claimChunks } from '../../log/claims.queries.ts'
import { listQueuedByChunk, markSubmitting } from '../../log/marks.queries.ts'
import { queueForLater } from '../../log/retry.queries.ts'
import { commandStatus } from '../../smpp/pdu/command-status.ts'

// Texts that were rejected with a temporary error are retried with growing delays, each time with all checks of a first attempt.

let sending: Awaited<ReturnType<typeof startSending>>
let carrier: Awaited<ReturnType<typeof startOddCarrier>> | undefined
let aheadMs: number

beforeEach(async () => {
  aheadMs = 0
  sending = await startSending({ binds: 1 })
  await sending.subscribe(...phones(3))
})
afterEach(async () => {
  await carrier?.stop()
  carrier = undefined
  await sending.stop()
})

const phones = (count: number) => Array.from({ length: count }, (_, n) => 2_065_560_001 + n)
const temporaryError = { command_status: commandStatus.ESME_RSYSERR }

/** Starts a carrier, and a gateway whose clock is `aheadMs` ahead. */
async function start(respond: Responder) {
  const clock = { now: () => new Date(Date.now() + aheadMs) }
  carrier = await startOddCarrier({ ...sending.rt, clock }, respond)
  return carrier
}

/** Returns the chunks that wait for a retry. */
const waitingChunks = () =>
  sending.db.many<{ attempt: number; inMs: number; rows: number }>(
    'waiting_chunks',
    `select attempt, round(extract(epoch from due_at - clock_timestamp()) * 1000)::int as "inMs",
            (select count(*)::int from message_log l where l.chunk_id = c.id and l.state = 'queued') as rows
       from send_chunks c where done_at is null and attempt > 0`,
  )

test('a text that was rejected with a temporary error is retried and does not delay other texts', async () => {
  let errors = 2
  const { submits } = await start((pdu, ordinal) =>
    pdu.destination_addr === '12065560002' && errors-- > 0 ? temporaryError : { message_id: `id${ordinal}` },
  )
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { sent: 2, queued: 1 })
  await waitFor(async () => (await sending.db.exec('open', 'select from send_chunks where done_at is null')) === 1)
  expect(await waitingChunks()).toMatchObject([{ attempt: 1, rows: 1 }])
  expect(submits).toHaveLength(3)
  aheadMs = 5_001
  await waitFor(() => submits.length === 4)
  await waitFor(async () => (await waitingChunks())[0]?.attempt === 2)
  aheadMs = 35_100
  await sending.waitForCounters(id, { sent: 3, queued: 0 })
  expect(submits).toHaveLength(5)
})

test('a text bounces when its last retry is rejected', async () => {
  const { submits } = await start(() => temporaryError)
  const id = await sending.broadcast()
  for (const [attempt, ms] of [5_000, 30_000, 120_000, 600_000].entries()) {
    await waitFor(async () => (await waitingChunks())[0]?.attempt === attempt + 1, { what: `attempt ${attempt + 1}` })
    const [chunk] = await waitingChunks()
    expect(chunk).toMatchObject({ rows: 3 })
    expect((chunk?.inMs ?? 0) - aheadMs).toBeGreaterThan(ms - 4_000)
    expect((chunk?.inMs ?? 0) - aheadMs).toBeLessThanOrEqual(ms)
    aheadMs = (chunk?.inMs ?? 0) + 100
  }
  await sending.waitForCounters(id, { bounced: 3, queued: 0 })
  expect(submits).toHaveLength(15)
  expect(await sending.states(id)).toMatchObject({ 2065560001: 'bounced soft' })
})

test('a text is not retried after an opt-out or a cancel', async () => {
  const { submits } = await start(() => temporaryError)
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { queued: 3 })
  await waitFor(async () => (await waitingChunks())[0]?.rows === 3)
  await sending.db.exec('unsubscribe', `update subscribers set state = 'unsubscribed' where phone = 2065560001`)
  aheadMs = 5_100
  await sending.waitForCounters(id, { suppressed: 1, queued: 2 })
  await waitFor(async () => (await waitingChunks())[0]?.attempt === 2)
  expect(submits).toHaveLength(5)
  await sending.db.exec('cancel', `update messages set status = 'cancelled' where id = $1`, [id])
  aheadMs = 36_000
  await sending.waitForCounters(id, { suppressed: 1, cancelled: 2, queued: 0 })
  expect(submits).toHaveLength(5)
})

test('a status in the status map of the connection is not retried', async () => {
  await sending.db.exec(
    'map',
    `insert into connections (name, serves_all, error_map, created_at, updated_at)
     values ('default', true, '{"status": {"0x08": "blocked"}}', now(), now())`,
  )
  const { submits } = await start(() => temporaryError)
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { bounced: 3 })
  expect(await sending.states(id)).toMatchObject({ 2065560001: 'bounced blocked' })
  expect(submits).toHaveLength(3)
})

test('only the rejected part of a text is retried', async () => {
  let errors = 1
  const { submits } = await start((pdu, ordinal) =>
    pdu.short_message[5] === 2 && errors-- > 0 ? temporaryError : { message_id: `id${ordinal}` },
  )
  await sending.db.exec('one', 'delete from subscribers where phone <> 2065560001')
  const id = await sending.broadcast('x'.repeat(200))
  await sending.waitForCounters(id, { sent: 1 }, 8_000)
  expect(submits.map((pdu) => pdu.short_message[5])).toEqual([1, 2, 2])
})

test('a retry belongs to a chunk of its own, and a gateway that lost the former chunk cannot requeue it', async () => {
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { queued: 3 })
  const claim = { owner: crypto.randomUUID(), leaseMs: 60_000, now: new Date(), fromLane: 2, toLane: 2, limit: 1 }
  const [chunk] = await claimChunks(sending.db, claim)
  if (!chunk) throw new Error('no chunk to lease')
  const rows = await listQueued(sending.db, chunk)
  const [first = 0, second = 0] = await markSubmitting(sending.db, chunk, rows.slice(0, 2), new Date())
  expect(await queueForLater(sending.db, chunk, [first], new Date(0))).toBe(1)
  // a repetition, as after a lost response of the database
  expect(await queueForLater(sending.db, chunk, [first], new Date(0))).toBe(0)
  expect(await queueForLater(sending.db, { ...chunk, epoch: 0 }, [second], new Date(0))).toBe(0)
  expect(await listQueued(sending.db, chunk)).toMatchObject([{ id: rows[2]?.id }])
  const [retry] = await claimChunks(sending.db, claim)
  if (!retry) throw new Error('no retry to lease')
  expect(retry).toMatchObject({ attempt: 1, messageId: chunk.messageId, firstLogId: first, lastLogId: first })
  expect(await listQueued(sending.db, retry)).toMatchObject([{ id: first }])
  const byChunk = await listQueuedByChunk(sending.db, chunk.loggedOn, [retry, chunk])
  expect(byChunk.get(chunk.id)).toMatchObject([{ id: rows[2]?.id }])
  expect(byChunk.get(retry.id)).toMatchObject([{ id: first }])
  expect(await markSubmitting(sending.db, retry, await listQueued(sending.db, retry), new Date())).toEqual([first])
  // a late repetition by the gateway that requeued it
  expect(await queueForLater(sending.db, chunk, [first], new Date(0))).toBe(0)
  await sending.waitForCounters(id, { queued: 1, submitting: 2 })
})
