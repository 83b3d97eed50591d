import { expect, test } from 'vitest'
import { CircuitBreaker, CircuitOpen } from './circuit-breaker.ts'

function made() {
  const clock = { now: 0 }
  const breaker = new CircuitBreaker({ failures: 3, pauseMs: 1_000, now: () => clock.now })
  const away = () => breaker.run(() => Promise.reject(new Error('away')))
  const there = () => breaker.run(async () => 'there')
  return { clock, breaker, away, there }
}

test('consecutive failures open the breaker, and a success resets the count', async () => {
  const { away, there } = made()
  for (let n = 0; n < 2; n += 1) await expect(away()).rejects.toThrow('away')
  expect(await there()).toBe('there')
  for (let n = 0; n < 3; n += 1) await expect(away()).rejects.toThrow('away')
  await expect(there()).rejects.toThrow(CircuitOpen)
})

test('after the pause one trial call closes the breaker or opens it again', async () => {
  const { clock, breaker, away, there } = made()
  for (let n = 0; n < 3; n += 1) await expect(away()).rejects.toThrow('away')
  clock.now = 999
  await expect(there()).rejects.toThrow(CircuitOpen)
  clock.now = 1_000
  await expect(away()).rejects.toThrow('away')
  clock.now = 1_999
  await expect(there()).rejects.toThrow(CircuitOpen)
  clock.now = 2_000
  const pending = Promise.withResolvers<string>()
  const trial = breaker.run(() => pending.promise)
  await expect(there()).rejects.toThrow(CircuitOpen)
  pending.resolve('there')
  expect(await trial).toBe('there')
  expect(await Promise.all([there(), there()])).toEqual(['there', 'there'])
})
