import { expect, test } from 'vitest'
import { CircuitBreaker, CircuitBreakers, CircuitOpen } from './circuit-breaker.ts'

function makeBreaker() {
  const clock = { now: 0 }
  const breaker = new CircuitBreaker({ failures: 3, pauseMs: 1_000, now: () => clock.now })
  const fail = () => breaker.run(() => Promise.reject(new Error('failed')))
  const succeed = () => breaker.run(async () => 'done')
  return { clock, breaker, fail, succeed }
}

test('consecutive failures open the breaker, and a success resets the count', async () => {
  const { fail, succeed } = makeBreaker()
  for (let n = 0; n < 2; n += 1) await expect(fail()).rejects.toThrow('failed')
  expect(await succeed()).toBe('done')
  for (let n = 0; n < 3; n += 1) await expect(fail()).rejects.toThrow('failed')
  await expect(succeed()).rejects.toThrow(CircuitOpen)
})

test('after the pause one trial call closes the breaker or opens it again', async () => {
  const { clock, breaker, fail, succeed } = makeBreaker()
  for (let n = 0; n < 3; n += 1) await expect(fail()).rejects.toThrow('failed')
  clock.now = 999
  await expect(succeed()).rejects.toThrow(CircuitOpen)
  clock.now = 1_000
  await expect(fail()).rejects.toThrow('failed')
  clock.now = 1_999
  await expect(succeed()).rejects.toThrow(CircuitOpen)
  clock.now = 2_000
  const pending = Promise.withResolvers<string>()
  const trial = breaker.run(() => pending.promise)
  await expect(succeed()).rejects.toThrow(CircuitOpen)
  pending.resolve('done')
  expect(await trial).toBe('done')
  expect(await Promise.all([succeed(), succeed()])).toEqual(['done', 'done'])
})

test('each caller has a breaker of its own, also with concurrent calls', async () => {
  const breakers = new CircuitBreakers<number>({ failures: 3, pauseMs: 1_000, now: () => 0 })
  const fail = (caller: number) => breakers.run(caller, () => Promise.reject(new Error('failed')))
  const succeed = (caller: number) => breakers.run(caller, async () => 'done')
  await Promise.allSettled([fail(1), fail(1), fail(1), fail(2), fail(2)])
  await expect(succeed(1)).rejects.toThrow(CircuitOpen)
  // a success resets the count
  expect(await succeed(2)).toBe('done')
  await Promise.allSettled([fail(2), fail(2)])
  expect(await succeed(2)).toBe('done')
})

test('failures of more callers than are remembered use no more memory', async () => {
  const breakers = new CircuitBreakers<number>({ failures: 1, pauseMs: 1_000, now: () => 0 })
  const fail = (caller: number) => breakers.run(caller, () => Promise.reject(new Error('failed')))
  for (let caller = 1; caller <= 1_001; caller++) await expect(fail(caller)).rejects.toThrow('failed')
  await expect(fail(2)).rejects.toThrow(CircuitOpen)
  await expect(fail(1)).rejects.toThrow('failed')
})
