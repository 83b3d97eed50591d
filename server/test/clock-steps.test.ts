import { afterEach, expect, test } from 'vitest'
import type { Clock } from '../src/lib/clock.ts'
import { fromSmppAddress } from '../src/sms/phone-number.ts'
import { startSending } from './sending.ts'
import { waitFor } from './wait-for.ts'

// The product's clock jumps forward and back during a broadcast. Due times follow the clock; leases, socket deadlines and
// caps do not. Each subscriber is texted exactly once.

const recipients = process.env.CARILLON_TEST_FORM === 'long' ? 3_000 : 400
const minute = 60_000
const hour = 60 * minute

class SteppingClock implements Clock {
  offsetMs = 0

  now(): Date {
    return new Date(Date.now() + this.offsetMs)
  }
}

let sending: Awaited<ReturnType<typeof startSending>>
afterEach(() => sending.stop())

const phones = Array.from({ length: recipients }, (_, n) => 2_065_560_001 + n)

test.each([
  ['jumps forward by a day and a half', [36 * hour]],
  ['jumps back by a day and a half, and is corrected', [-36 * hour, 0]],
  ['jumps forward and back by minutes', [5 * minute, -5 * minute, 90 * minute, 0]],
])('texts each subscriber once when the clock %s', async (_, steps) => {
  const clock = new SteppingClock()
  sending = await startSending({ window: 10, binds: 2, latencyMs: 30, leaseMs: 2_000, clock })
  await sending.subscribe(...phones)
  await sending.startGateway()
  const id = await sending.broadcast()
  const textsPerStep = recipients / 10
  await waitFor(() => sending.raw().length > textsPerStep, { what: 'the first texts' })
  for (const [n, offsetMs] of steps.entries()) {
    clock.offsetMs = offsetMs
    // until more texts are sent, or for 300 ms because no text may be due by this clock
    const before = sending.raw().length
    const deadline = performance.now() + 300
    await waitFor(() => sending.raw().length > before + textsPerStep || performance.now() > deadline)
    expect(sending.raw().length, `texts at step ${n}: the jump came after the last text`).toBeLessThan(recipients)
  }
  await sending.waitForCounters(id, { audience: recipients, delivered: recipients }, 15_000)
  const texted = sending.raw().map(({ destination }) => fromSmppAddress(destination))
  expect(texted).toHaveLength(recipients)
  expect(new Set(texted)).toEqual(new Set(phones))
})

test('sends messages that were accepted before and after a change of the day', async () => {
  const clock = new SteppingClock()
  sending = await startSending({ window: 10, binds: 2, latencyMs: 30, leaseMs: 2_000, clock })
  await sending.subscribe(...phones.slice(0, 200))
  await sending.startGateway()
  const first = await sending.broadcast()
  await waitFor(() => sending.raw().length > 20, { what: 'the first texts' })
  clock.offsetMs = 36 * hour
  const second = await sending.broadcast('The pantry opens at ten.')
  for (const id of [first, second]) await sending.waitForCounters(id, { audience: 200, delivered: 200 }, 15_000)
  const days = await sending.db.many('days_of_messages', 'select distinct logged_on from message_log')
  expect(days).toHaveLength(2)
  expect(sending.raw()).toHaveLength(400)
})
