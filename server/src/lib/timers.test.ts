import { expect, test } from 'vitest'
import { delayUntil, maxTimerMs } from './timers.ts'

test('a delay is at most what a timer can wait, and never negative', () => {
  expect(delayUntil(1_500, 1_000)).toBe(500)
  expect(delayUntil(900, 1_000)).toBe(0)
  expect(delayUntil(maxTimerMs + 1_000, 1_000)).toBe(maxTimerMs)
  expect(delayUntil(maxTimerMs + 1_001, 1_000)).toBe(maxTimerMs)
  expect(delayUntil(Number.POSITIVE_INFINITY, 1_000)).toBe(maxTimerMs)
})

test('a timer waits for the longest delay', async () => {
  const fired = Promise.withResolvers<string>()
  const long = setTimeout(() => fired.resolve('the longest'), delayUntil(Number.MAX_SAFE_INTEGER, 0))
  setTimeout(() => fired.resolve('a short one'), 5)
  expect(await fired.promise).toBe('a short one')
  clearTimeout(long)
})
