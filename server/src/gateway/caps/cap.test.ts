import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { maxPerSecond } from '../../../test/sliding-seconds.ts'
import { Cap } from './cap.ts'

function granted(mps: number): Cap {
  const cap = new Cap()
  cap.grant(mps, Number.POSITIVE_INFINITY, 0)
  return cap
}

/**
 * Writes from `from` until `until` like a gateway that marks as many texts as it reserves tokens, and returns the write times. A
 * write can be late, but never early.
 */
function send(
  cap: Cap,
  options: { from: number; until: number; markMs: number; tickMs: number; delay?: () => number },
) {
  const { from, until, markMs, tickMs, delay = () => 0 } = options
  const times: number[] = []
  const marked: number[] = []
  for (let now = from; now < until; now += tickMs + delay()) {
    const free = cap.free(now)
    cap.reserve(free)
    for (let n = 0; n < free; n++) marked.push(now + markMs)
    while (marked.length > 0 && (marked[0] as number) <= now && cap.ready(now) >= 1) {
      marked.shift()
      cap.use(now)
      times.push(now)
    }
  }
  cap.release(marked.length)
  return times
}

describe('Cap', () => {
  test('never exceeds the share in any second, with any pattern of writes and changes of the share', () => {
    const steps = fc.array(
      fc.record({
        wait: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 700 })),
        count: fc.integer({ min: 1, max: 20 }),
        grant: fc.option(fc.integer({ min: 0, max: 25 }), { freq: 4 }),
      }),
      { minLength: 20, maxLength: 60 },
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 25 }), steps, (mps, pattern) => {
        const cap = granted(mps)
        const limits = [{ at: 0, mps }]
        const times: number[] = []
        let now = 0
        for (const { wait, count, grant } of pattern) {
          now += wait
          if (grant !== null) {
            cap.grant(grant, Number.POSITIVE_INFINITY, now)
            limits.push({ at: now, mps: grant })
          }
          const reserved = Math.min(count, cap.free(now))
          cap.reserve(reserved)
          now += 3
          for (let n = 0; n < reserved; n++) {
            const readyAt = cap.readyAt(now)
            if (readyAt < now + 100) now = readyAt
            if (cap.ready(now) >= 1) {
              cap.use(now)
              times.push(now)
            } else cap.release(1)
          }
        }
        for (const start of times) {
          const inForce = limits.filter(({ at }, n) => at < start + 1_000 && (limits[n + 1]?.at ?? now) >= start)
          const max = Math.max(...inForce.map((limit) => limit.mps))
          expect(times.filter((time) => time >= start && time < start + 1_000).length).toBeLessThanOrEqual(max)
        }
      }),
      { numRuns: 500 },
    )
  })

  test.each([1, 7, 100, 1_000, 20_000])('uses 97 percent of a share of %i while marks take 20 ms', (mps) => {
    const times = send(granted(mps), { from: 0, until: 60_000, markMs: 20, tickMs: 3 })
    expect(maxPerSecond(times)).toBeLessThanOrEqual(mps)
    expect(times.length).toBeGreaterThanOrEqual(0.97 * mps * 60)
  })

  test('uses 97 percent of the share despite delays of 60 ms', () => {
    let calls = 0
    const delay = () => (++calls % 300 === 0 ? 60 : 0)
    const times = send(granted(500), { from: 0, until: 60_000, markMs: 20, tickMs: 3, delay })
    expect(maxPerSecond(times)).toBeLessThanOrEqual(500)
    expect(times.length).toBeGreaterThanOrEqual(0.97 * 500 * 60)
  })

  test('spreads writes evenly over the second, even after a pause', () => {
    const cap = granted(1_000)
    const times = [
      ...send(cap, { from: 0, until: 3_000, markMs: 20, tickMs: 3 }),
      ...send(cap, { from: 3_700, until: 6_000, markMs: 20, tickMs: 3 }),
    ]
    for (const start of times) {
      expect(times.filter((time) => time >= start && time < start + 50).length).toBeLessThanOrEqual(95)
    }
  })

  test('counts bunched writes from the time of their arrival', () => {
    const cap = granted(100)
    const before = send(cap, { from: 0, until: 1_500, markMs: 0, tickMs: 1 })
    const bunched = before.filter((time) => time > 1_400)
    expect(bunched.length).toBeGreaterThan(8)
    // according to their responses, these arrived at the same time
    for (const time of bunched) cap.noteBunch(time, 1_500)
    const after = send(cap, { from: 1_500, until: 4_000, markMs: 0, tickMs: 1 })
    expect(after.filter((time) => time > 2_425 && time < 2_480)).toEqual([])
    expect(after.filter((time) => time >= 2_480 && time < 2_580).length).toBeGreaterThan(8)
    const arrivals = [...before.map((time) => (time > 1_400 ? 1_500 : time)), ...after]
    expect(maxPerSecond(arrivals)).toBeLessThanOrEqual(102)
  })

  test('continues when all responses become slow', () => {
    const cap = granted(100)
    const times: number[] = []
    for (let now = 0; now < 10_000; now += 2) {
      cap.reserve(Math.max(0, cap.free(now)))
      if (cap.ready(now) < 1) continue
      cap.use(now)
      times.push(now)
      cap.noteBunch(now - 100, now - 40)
    }
    expect(times.length).toBeGreaterThan(900)
  })

  test('reserves tokens earlier when marks take longer', () => {
    const cap = granted(100)
    cap.noteMarking(10)
    const [fastCapacity, slow] = [cap.capacity, granted(100)]
    slow.noteMarking(120)
    expect(slow.capacity).toBeGreaterThan(fastCapacity * 2)
    for (let n = 0; n < 200; n++) slow.noteMarking(10)
    expect(slow.capacity).toBeLessThanOrEqual(fastCapacity)
  })

  test('allows no write after the lease of its share', () => {
    const cap = new Cap()
    expect(cap.free(0)).toBe(0)
    cap.grant(10, 4_000, 0)
    cap.reserve(1)
    expect([cap.free(3_999) > 0, cap.ready(3_999) > 0]).toEqual([true, true])
    expect([cap.free(4_000), cap.ready(4_000), cap.readyAt(4_000)]).toEqual([0, 0, Number.POSITIVE_INFINITY])
  })

  test('reports a smaller effective limit only after a second within the smaller share', () => {
    const cap = granted(100)
    const before = send(cap, { from: 0, until: 2_000, markMs: 0, tickMs: 3 })
    expect(before.length).toBeGreaterThan(150)
    cap.cut(40, 2_000)
    expect(cap.effectiveLimit(2_000)).toBe(100)
    const after = send(cap, { from: 2_000, until: 2_500, markMs: 0, tickMs: 3 })
    expect(cap.effectiveLimit(2_500)).toBe(100)
    after.push(...send(cap, { from: 2_500, until: 3_000, markMs: 0, tickMs: 3 }))
    // the writes before the cut do not stop new ones
    expect(after.length).toBeGreaterThan(30)
    expect(after.length).toBeLessThanOrEqual(40)
    expect(cap.effectiveLimit(3_030)).toBe(40)
  })

  test('respects a smaller share in every second that starts after the cut', () => {
    const cap = granted(200)
    send(cap, { from: 0, until: 1_500, markMs: 0, tickMs: 3 })
    cap.cut(100, 1_500)
    const after = send(cap, { from: 1_500, until: 5_000, markMs: 0, tickMs: 3 })
    expect(after[0]).toBeLessThan(1_520)
    expect(maxPerSecond(after)).toBe(100)
  })

  test('reports a smaller effective limit immediately if few texts were written, and then respects it', () => {
    const cap = granted(100)
    const written = send(cap, { from: 0, until: 1, markMs: 0, tickMs: 3 })
    expect(written.length).toBeLessThan(5)
    cap.cut(5, 100)
    expect(cap.effectiveLimit(100)).toBe(5)
    expect(send(cap, { from: 100, until: 950, markMs: 0, tickMs: 3 }).length).toBe(5 - written.length)
  })

  test('does not delay the first write of a larger share by the spacing of the smaller one', () => {
    const cap = granted(1)
    cap.reserve(1)
    cap.use(0)
    cap.grant(100, Number.POSITIVE_INFINITY, 10)
    cap.reserve(1)
    expect(cap.readyAt(10)).toBeLessThan(40)
  })

  test('returns the time at which tokens become free', () => {
    const cap = granted(10)
    const times = send(cap, { from: 0, until: 1_300, markMs: 0, tickMs: 1 })
    const free = cap.free(1_300)
    const at = cap.freeAt(1_300, free + 1)
    expect(at).toBeGreaterThan(1_300)
    expect(cap.free(at)).toBe(free + 1)
    expect(cap.free(at - 1)).toBe(free)
    expect(cap.readyAt(1_300)).toBeGreaterThan(times.at(-1) as number)
  })

  test('allows the use of reserved tokens after the cap was lifted', () => {
    const cap = granted(1)
    cap.reserve(3)
    cap.lift()
    expect(cap.ready(0)).toBe(Number.POSITIVE_INFINITY)
    for (let n = 0; n < 3; n++) cap.use(0)
    expect(cap.free(0)).toBe(Number.POSITIVE_INFINITY)
  })
})
