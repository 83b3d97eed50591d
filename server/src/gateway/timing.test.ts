import { afterEach, describe, expect, test, vi } from 'vitest'
import { makeRuntime } from '../../test/runtime.ts'
import type { Durations } from '../lib/duration-rules.ts'
import { assertTiming, leaseTiming, timing } from './timing.ts'

const leaseMs = 5_000

const numbers = Object.entries(timing).flatMap(([name, value]) =>
  typeof value === 'number' ? [name] : value.map((_, n) => `${name}[${n}]`),
)

/** Returns the durations with one of them, or one element of a list, multiplied by a factor. */
function multiplied(name: string, factor: number): Durations {
  const [key = '', index] = name.split(/[[\]]/)
  const value = (timing as Durations)[key] as number | readonly number[]
  const next =
    typeof value === 'number' ? value * factor : value.with(Number(index), (value[Number(index)] ?? 0) * factor)
  return { ...timing, [key]: next }
}

/** Returns the error message of assertTiming; empty if it does not throw. */
function faultOf(durations: Durations): string {
  try {
    assertTiming(durations, leaseMs)
    return ''
  } catch (error) {
    return (error as Error).message
  }
}

test('the actual durations satisfy all inequalities', () => {
  expect(faultOf(timing)).toBe('')
})

test.each(numbers)('multiplying %s by 1000 or 0.001 is an error that names it', (name) => {
  const faults = [faultOf(multiplied(name, 1_000)), faultOf(multiplied(name, 0.001))]
  expect(faults.join()).toContain(`${name} (`)
})

test.each([
  ['markFreshMs', 1.01, 'B3: no text is written a second after an opt-out is in force'],
  ['staleWriteMs', 1.01, 'B3: no text is written a second after an opt-out is in force'],
  ['slowMarkMs', 1.01, 'a mark of twice the limit must still be usable'],
  ['tokenReturnMs', 0.98, 'B5: no sliding second contains more submit_sm than the cap'],
  ['shareGraceMs', 0.8, 'B5: a share is free only when its last write is more than a second old'],
  ['partRetryMs', 2, 'three retries of a part fit into its wait'],
  ['leaseReserveMaxMs', 4, 'a stranded chunk is released sooner than its lease ends'],
  ['heartbeatMs', 2, 'two heartbeats may fail'],
])('multiplying %s by %d is an error: %s', (name, factor, why) => {
  expect(faultOf(multiplied(name, factor))).toContain(why)
})

test('a missing duration is an error', () => {
  const { markFreshMs, ...others } = timing
  expect(faultOf(others)).toContain('markFreshMs')
})

test('a lease too short for two renewals is an error', () => {
  expect(leaseTiming(5_000)).toEqual({ reserveMs: 1_000, renewEveryMs: 1_000 })
  expect(() => assertTiming(timing, 100)).toThrow('CARILLON_LEASE_MS (100 ms) is too short')
})

describe('a gateway', () => {
  afterEach(() => {
    vi.doUnmock('./timing.ts')
    vi.resetModules()
  })

  test('does not start with durations that break a promise', async () => {
    vi.resetModules()
    vi.doMock('./timing.ts', async (original) => ({
      ...(await original<typeof import('./timing.ts')>()),
      timing: { ...timing, markFreshMs: 800 },
    }))
    const { startGateway } = await import('./gateway.ts')
    // there is no database: the check comes before the first access to it
    const rt = makeRuntime({ db: undefined as never, url: 'postgres://nowhere' })
    await expect(startGateway(rt)).rejects.toThrow(
      'inconsistent gateway timing: markFreshMs (800 ms) + staleWriteMs (300 ms) must be at most second (1000 ms): B3',
    )
  })
})
