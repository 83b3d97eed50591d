import { expect, test } from 'vitest'
import { CarrierPace } from './carrier-pace.ts'

/** Simulates a carrier that accepts `perSecond` texts, and returns how many it accepted and how many it throttled. */
function simulate(pace: CarrierPace, perSecond: number, seconds: number, from: number) {
  let [accepted, throttled, inSecond, second] = [0, 0, 0, -1]
  for (let now = from; now < from + seconds * 1_000; now += 10) {
    if (Math.floor(now / 1_000) !== second) [second, inSecond] = [Math.floor(now / 1_000), 0]
    const submits = Math.min(50, pace.free(now))
    pace.reserve(submits)
    for (let n = 0; n < submits; n++) {
      if (inSecond++ < perSecond) {
        accepted++
        pace.accepted(now)
      } else {
        throttled++
        pace.throttled(now)
      }
    }
  }
  return { accepted, throttled }
}

test('a bind group that is never throttled has no limit', () => {
  expect(simulate(new CarrierPace(), 1e9, 2, 0)).toEqual({ accepted: 10_000, throttled: 0 })
})

test('a throttled bind group soon writes nearly as many texts as its carrier accepts, and few more', () => {
  const pace = new CarrierPace()
  simulate(pace, 100, 3, 0)
  const { accepted, throttled } = simulate(pace, 100, 20, 3_000)
  expect(accepted).toBeGreaterThan(1_500)
  expect(throttled).toBeLessThan(100)
})

test('a few throttled texts among many responses do not cut the pace', () => {
  const pace = new CarrierPace()
  for (let n = 0; n < 20_000; n++) {
    if (n % 20 === 0) pace.throttled(n)
    else pace.accepted(n)
  }
  expect(pace.perSecond).toBe(Number.POSITIVE_INFINITY)
  for (let n = 0; n < 100; n++) {
    if (n % 20 === 0) pace.throttled(30_000 + n * 100)
    else pace.accepted(30_000 + n * 100)
  }
  expect(pace.perSecond).toBe(Number.POSITIVE_INFINITY)
})

test('one burst of throttled texts cuts the pace once', () => {
  const pace = new CarrierPace()
  for (let n = 0; n < 100; n++) pace.accepted(1_000)
  for (let n = 0; n < 50; n++) pace.throttled(1_000 + n)
  expect(pace.perSecond).toBe(80)
  pace.throttled(1_600)
  expect(pace.perSecond).toBeLessThan(80)
})

test('the pace is never zero, and the limit ends after 30 s without throttling', () => {
  const pace = new CarrierPace()
  for (let now = 0; now < 60_000; now += 400) pace.throttled(now)
  expect(pace.perSecond).toBeGreaterThanOrEqual(1)
  expect(pace.freeAt(60_000) - 60_000).toBeLessThanOrEqual(1_000)
  expect(pace.free(61_000)).toBe(1)
  expect(pace.free(100_000)).toBe(Number.POSITIVE_INFINITY)
})
