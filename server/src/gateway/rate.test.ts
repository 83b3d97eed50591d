import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Rate } from './rate.ts'

test('no sliding second holds more writes than the rate, whatever the pattern', () => {
  const steps = fc.array(fc.record({ wait: fc.integer({ min: 0, max: 700 }), want: fc.integer({ min: 1, max: 20 }) }))
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 25 }), steps, (mps, pattern) => {
      const rate = new Rate(mps)
      const times: number[] = []
      let now = 0
      for (const { wait, want } of pattern) {
        now += wait
        const take = Math.min(want, rate.free(now))
        rate.reserve(take)
        // marked, and written a moment later
        now += 3
        for (let n = 0; n < take; n++) {
          rate.use(now)
          times.push(now)
        }
      }
      times.forEach((time, n) => {
        if (n >= mps) expect(time - (times[n - mps] as number)).toBeGreaterThanOrEqual(1_000)
      })
    }),
  )
})

test('tokens in hand count as used, and come back when they are given back', () => {
  const rate = new Rate(10)
  rate.reserve(10)
  expect(rate.free(0)).toBe(0)
  rate.release(4)
  expect(rate.free(0)).toBe(4)
  rate.use(0)
  expect(rate.free(999)).toBe(4)
  expect(rate.free(1_000)).toBe(5)
})

test('without a rate there is no bound', () => {
  const rate = new Rate(undefined)
  rate.reserve(5)
  rate.use(0)
  expect(rate.free(0)).toBe(Number.POSITIVE_INFINITY)
})
