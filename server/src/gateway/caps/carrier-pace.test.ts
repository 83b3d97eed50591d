import { expect, test } from 'vitest'
import { CarrierPace } from './carrier-pace.ts'

/** Plays a carrier that takes so many a second, and answers how many it took and how many it refused. */
function play(slowDown: CarrierPace, perSecond: number, seconds: number, from: number) {
  let [taken, refused, inSecond, second] = [0, 0, 0, -1]
  for (let now = from; now < from + seconds * 1_000; now += 10) {
    if (Math.floor(now / 1_000) !== second) [second, inSecond] = [Math.floor(now / 1_000), 0]
    const submits = Math.min(50, slowDown.free(now))
    slowDown.take(submits)
    for (let n = 0; n < submits; n++) {
      if (inSecond++ < perSecond) {
        taken++
        slowDown.accepted(now)
      } else {
        refused++
        slowDown.refused(now)
      }
    }
  }
  return { taken, refused }
}

test('nothing slows a line down that is never refused', () => {
  expect(play(new CarrierPace(), 1e9, 2, 0)).toEqual({ taken: 10_000, refused: 0 })
})

test('a line that is refused soon sends nearly what its carrier takes, and little more', () => {
  const slowDown = new CarrierPace()
  play(slowDown, 100, 3, 0)
  const { taken, refused } = play(slowDown, 100, 20, 3_000)
  expect(taken).toBeGreaterThan(1_500)
  expect(refused).toBeLessThan(100)
})

test('a few refusals among many answers are not our pace', () => {
  const slowDown = new CarrierPace()
  for (let n = 0; n < 20_000; n++) {
    if (n % 20 === 0) slowDown.refused(n)
    else slowDown.accepted(n)
  }
  expect(slowDown.perSecond).toBe(Number.POSITIVE_INFINITY)
  for (let n = 0; n < 100; n++) {
    if (n % 20 === 0) slowDown.refused(30_000 + n * 100)
    else slowDown.accepted(30_000 + n * 100)
  }
  expect(slowDown.perSecond).toBe(Number.POSITIVE_INFINITY)
})

test('one burst of refusals cuts once', () => {
  const slowDown = new CarrierPace()
  for (let n = 0; n < 100; n++) slowDown.accepted(1_000)
  for (let n = 0; n < 50; n++) slowDown.refused(1_000 + n)
  expect(slowDown.perSecond).toBe(80)
  slowDown.refused(1_600)
  expect(slowDown.perSecond).toBeLessThan(80)
})

test('it never stands still, and forgets', () => {
  const slowDown = new CarrierPace()
  for (let now = 0; now < 60_000; now += 400) slowDown.refused(now)
  expect(slowDown.perSecond).toBeGreaterThanOrEqual(1)
  expect(slowDown.freeAt(60_000) - 60_000).toBeLessThanOrEqual(1_000)
  expect(slowDown.free(61_000)).toBe(1)
  expect(slowDown.free(100_000)).toBe(Number.POSITIVE_INFINITY)
})
