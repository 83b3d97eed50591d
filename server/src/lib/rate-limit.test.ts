import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isWithin, parseRateLimit, SlidingCounter } from './rate-limit.ts'

describe('parseRateLimit', () => {
  test.each([
    ['100/60', { calls: 100, windowMs: 60_000 }],
    ['1000000/3600', { calls: 1_000_000, windowMs: 3_600_000 }],
    ['off', 'off'],
  ])('parses %s', (text, limit) => expect(parseRateLimit(text)).toEqual(limit))

  test.each(['', '0/1', '1/0', '1000001/1', '1/3601', '10', '10/1s', '-1/1', '1.5/1', 'OFF', ' 1/1'])(
    'rejects %j',
    (text) => expect(parseRateLimit(text)).toBeUndefined(),
  )

  test('isWithin compares the averages over time', () => {
    const fifty = { calls: 50, windowMs: 1_000 }
    expect(isWithin({ calls: 3_000, windowMs: 60_000 }, fifty)).toBe(true)
    expect(isWithin({ calls: 3_001, windowMs: 60_000 }, fifty)).toBe(false)
    expect(isWithin('off', fifty)).toBe(false)
    expect(isWithin('off', 'off')).toBe(true)
  })
})

describe('a sliding counter', () => {
  test('allows a burst and then returns the time until the next call', () => {
    const counter = new SlidingCounter({ calls: 3, windowMs: 60_000 })
    expect([counter.take(500), counter.take(600), counter.take(30_000)]).toEqual([0, 0, 0])
    expect(counter.left).toBe(0)
    expect(counter.take(30_000)).toBe(30_000)
    expect(counter.take(59_999)).toBe(1)
    expect([counter.take(60_000), counter.take(60_000)]).toEqual([0, 0])
    expect(counter.take(60_000)).toBe(30_000)
    expect(counter.take(10_000_000)).toBe(0)
    expect(counter.left).toBe(2)
  })

  test('never exceeds the limit in any window, and the returned wait is sufficient', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20_000), { maxLength: 200 }), (gaps) => {
        const counter = new SlidingCounter({ calls: 5, windowMs: 60_000 })
        const taken: number[] = []
        let now = 0
        for (const gap of gaps) {
          now += gap
          const waitMs = counter.take(now)
          if (waitMs === 0) taken.push(now)
          else if (gap % 3 === 0) {
            now += waitMs
            expect(counter.take(now)).toBe(0)
            taken.push(now)
          }
        }
        // exact to a slot, a sixtieth of the window
        for (const from of taken)
          expect(taken.filter((at) => at >= from && at < from + 59_000).length).toBeLessThanOrEqual(5)
      }),
    )
  })
})
