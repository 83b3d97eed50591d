import { afterEach, describe, expect, test } from 'vitest'
import { basic } from '../../../test/api.ts'
import { make } from '../../../test/make.ts'
import { listQueued } from '../../../test/queued.ts'
import { startSending } from '../../../test/sending.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { closeOverdue } from '../../broadcasts/close.ts'
import { makeApp } from '../../http/app.ts'
import { claimChunks } from '../../log/claims.queries.ts'
import { markSubmitting } from '../../log/marks.queries.ts'
import { cancelMessage, waitUntilIdle } from '../../messages/stop/cancel.ts'

let sending: Awaited<ReturnType<typeof startSending>>
afterEach(() => sending.stop())

const fill = (count: number) => make.subscribers(sending.db, { listId: sending.list.id, count })

/** Cancels as the API does; resolves when the cancel is in force. */
async function cancel(messageId: number): Promise<void> {
  await cancelMessage(sending.rt, sending.list.id, messageId)
  await waitUntilIdle(sending.rt, messageId)
}

const statusOf = async (messageId: number) =>
  sending.db.one<{ status: string; closed: boolean }>(
    'status_of',
    'select status, closed_at is not null as closed from messages where id = $1',
    [messageId],
  )

/** Cancels through the API and returns the time of the response. */
async function post(messageId: number, headers: Record<string, string>): Promise<number> {
  const app = await makeApp(sending.rt)
  try {
    const { key } = await make.apiKey(sending.db, { accountId: sending.list.accountId })
    const url = `/api/v2/lists/${sending.list.id}/messages/${messageId}/cancel`
    const response = await app.inject({ method: 'POST', url, headers: { authorization: basic(key), ...headers } })
    expect(response.json()).toMatchObject({ status: 'Message cancelled', message: { status: 'cancelled' } })
    return Date.now()
  } finally {
    await app.close()
  }
}

// with an idempotency key, the handler's transaction commits after the handler has returned, so it must not wait for its effect
describe.each<Record<string, string>>([{}, { 'idempotency-key': 'once' }])('a cancel with headers %j', (headers) => {
  test('stops all submit_sm within a second of the response, and counts the texts sent before', async () => {
    sending = await startSending({ latencyMs: 60, window: 20, binds: 1 })
    await sending.startGateway()
    await fill(3_000)
    const id = await sending.broadcast()
    await waitFor(() => sending.raw().length >= 100)
    const respondedAt = await post(id, headers)
    // no text is being submitted, although the carrier is slow
    expect(await sending.counters(id)).toMatchObject({ submitting: 0 })
    expect(sending.raw().length).toBeLessThan(2_000)
    // on a slow machine a lease may have ended; receipts settle the texts that became unknown
    await sending.waitForCounters(id, { queued: 0, submitting: 0, sent: 0, unknown: 0 })
    const { audience, delivered, cancelled } = await sending.counters(id)
    expect({ delivered, audience }).toEqual({ delivered: sending.raw().length, audience: delivered + cancelled })
    expect(sending.raw().filter((record) => record.time > respondedAt + 1_000)).toEqual([])
    // the gateway closes its chunks, so they do not delay the next message
    await waitFor(async () => {
      const open = 'select from send_chunks where message_id = $1 and done_at is null'
      return (await sending.db.exec('open_chunks', open, [id])) === 0
    })
    expect(await statusOf(id)).toEqual({ status: 'cancelled', closed: false })
  })
})

test('remaining parts of a text are not written after a cancel', async () => {
  sending = await startSending({ leaseMs: 500 })
  await sending.startGateway()
  // the carrier accepts the first part and throttles the other two
  await sending.control('PATCH', '/settings', { throttle: { mps: 1 } })
  await sending.subscribe(2_065_560_001)
  const id = await sending.broadcast('a'.repeat(400))
  await waitFor(() => sending.raw().length === 1)
  await cancel(id)
  expect(sending.raw()).toHaveLength(1)
  await sending.waitForCounters(id, { audience: 1, unknown: 1 })
  expect(sending.raw()).toHaveLength(1)
})

test('an audience that is still being written does not grow after a cancel', async () => {
  sending = await startSending()
  await fill(40_000)
  const id = await sending.broadcast()
  await waitFor(async () => (await sending.counters(id)).audience > 0)
  await cancel(id)
  const { audience } = await sending.counters(id)
  await sending.waitForCounters(id, { audience, cancelled: audience, queued: 0 })
  expect(await sending.db.exec('expansions', 'select from expansions')).toBe(0)
})

test('a cancel waits for the end of a dead gateway’s lease, and the gateway’s texts become unknown', async () => {
  sending = await startSending()
  await sending.subscribe(...Array.from({ length: 30 }, (_, n) => 2_065_560_001 + n))
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { queued: 30 })
  const claim = { owner: crypto.randomUUID(), leaseMs: 400, now: new Date(), fromLane: 2, toLane: 2, limit: 1 }
  const [chunk] = await claimChunks(sending.db, claim)
  if (!chunk) throw new Error('there was no chunk to lease')
  await markSubmitting(sending.db, chunk, (await listQueued(sending.db, chunk)).slice(0, 10), new Date())
  await cancel(id)
  await sending.waitForCounters(id, { submitting: 10, cancelled: 20 })
  const later = (hours: number) => ({ now: () => new Date(Date.now() + hours * 3_600_000) })
  await closeOverdue({ ...sending.rt, clock: later(73) })
  expect(await statusOf(id)).toMatchObject({ closed: false })
  await sending.startGateway()
  await sending.waitForCounters(id, { unknown: 10, cancelled: 20 })
  expect(sending.raw()).toEqual([])
  await closeOverdue({ ...sending.rt, clock: later(71) })
  expect(await statusOf(id)).toMatchObject({ closed: false })
  await closeOverdue({ ...sending.rt, clock: later(73) })
  expect(await statusOf(id)).toEqual({ status: 'cancelled', closed: true })
})

test('a receipt that arrives after the cancel still counts, even if no other message of that day is open', async () => {
  sending = await startSending()
  await sending.control('PATCH', '/settings', { receipt_delay_ms: 600 })
  await sending.startGateway()
  await fill(3)
  const id = await sending.broadcast()
  await waitFor(() => sending.raw().length === 3)
  // cancelled even if the message is already finished
  await sending.db.exec(
    'force_cancel',
    `update messages set status = 'cancelled', cancelled_at = now(), sent_at = null where id = $1`,
    [id],
  )
  await sending.waitForCounters(id, { delivered: 3 })
})

test('no text is sent after the response to a cancel, with several gateways, connections and waiting retries', async () => {
  sending = await startSending({ latencyMs: 40, window: 10, binds: 1 })
  await sending.startGateway()
  // a second connection to the same carrier
  await sending.db.exec(
    'second_connection',
    `insert into connections (name, host, port, system_id, password, "window", slots, serves_all, created_at, updated_at)
     select 'second', host, port, system_id, password, "window", slots, true, created_at, updated_at from connections where name = 'default'`,
  )
  await sending.startGateway()
  await waitFor(async () => (await sending.db.exec('bound', 'select from bind_slots where bound')) === 2)
  await fill(2_000)
  const id = await sending.broadcast()
  await waitFor(() => sending.raw().length >= 60)
  // some texts are throttled and wait for their retry when the message is cancelled
  await sending.control('PATCH', '/settings', { throttle: { mps: 20 } })
  const before = sending.raw().length
  await waitFor(() => sending.raw().length >= before + 10)
  await cancel(id)
  const written = sending.raw().length
  await sending.control('PATCH', '/settings', { throttle: null })
  await sending.waitForCounters(id, { delivered: written, cancelled: 2_000 - written, queued: 0, submitting: 0 })
  expect(sending.raw()).toHaveLength(written)
})
