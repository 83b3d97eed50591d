import { afterEach, beforeEach, expect, test } from 'vitest'
import { startSending } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import { ensureMode, setSendingPaused } from '../system/installation.queries.ts'

let sending: Awaited<ReturnType<typeof startSending>>

beforeEach(async () => {
  sending = await startSending()
  await ensureMode(sending.db, 'sandbox')
  await setSendingPaused(sending.db, true)
})

afterEach(() => sending.stop())

/** Returns the number of bound slots in the gateway's heartbeat after this many further heartbeats. */
async function boundAfter(heartbeats: number): Promise<number> {
  const read = () =>
    sending.db.maybeOne<{ seenAt: Date; bound: number }>(
      'read_beat',
      `select seen_at as "seenAt", (details->>'bound')::int as bound from heartbeats where role = 'gateway'`,
    )
  let last = await read()
  for (let n = 0; n < heartbeats; n += 1) {
    const before = last?.seenAt.getTime()
    const isNew = async () => {
      last = await read()
      return last?.seenAt.getTime() !== before
    }
    await waitFor(isNew, { timeoutMs: 5_000, what: 'a heartbeat' })
  }
  return last?.bound ?? Number.NaN
}

test('a gateway does not bind while sending is paused, and sends all texts after a resume', async () => {
  await sending.subscribe(2_065_550_143, 2_065_550_144)
  await sending.startGateway()
  const id = await sending.broadcast()
  await sending.waitForCounters(id, { audience: 2, queued: 2 })
  expect(await boundAfter(2)).toBe(0)
  expect(sending.raw()).toEqual([])
  await setSendingPaused(sending.db, false)
  await sending.waitForCounters(id, { delivered: 2 })
})

test('a bound gateway sends no further text after sending was paused', async () => {
  await sending.subscribe(2_065_550_143)
  await setSendingPaused(sending.db, false)
  await sending.startGateway()
  await sending.waitForCounters(await sending.broadcast(), { delivered: 1 })
  await setSendingPaused(sending.db, true)
  const id = await sending.broadcast()
  expect(await boundAfter(2)).toBeGreaterThan(0)
  await sending.waitForCounters(id, { audience: 1, queued: 1 })
  await setSendingPaused(sending.db, false)
  await sending.waitForCounters(id, { delivered: 1 })
})
