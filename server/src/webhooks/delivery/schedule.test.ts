import { expect, test } from 'vitest'
import { maxAttempts, readRetryAfter, retryDelayMs } from './schedule.ts'

test('the delays are those of the contract, without jitter and with the longest', () => {
  const delays = (random: number) =>
    Array.from({ length: maxAttempts - 1 }, (_, n) => (retryDelayMs(n + 1, () => random) ?? 0) / 1_000)
  const shortest = [15, 16, 31, 96, 271, 640, 1_311, 2_416, 4_111, 6_576]
  expect(delays(0)).toEqual(shortest)
  expect(delays(0.999)).toEqual(shortest.map((seconds, n) => seconds + 29 * (n + 1)))
  expect(retryDelayMs(maxAttempts)).toBeUndefined()
})

const now = new Date('2026-03-02T10:00:00Z')

test.each<[string | undefined, number | undefined]>([
  ['0', 0],
  ['120', 120_000],
  [' 7 ', 7_000],
  ['3600', 3_600_000],
  ['3601', 3_600_000],
  ['999999999', 3_600_000],
  ['Mon, 02 Mar 2026 10:00:30 GMT', 30_000],
  ['Mon, 02 Mar 2026 09:00:00 GMT', 0],
  ['Mon, 02 Mar 2027 09:00:00 GMT', 3_600_000],
  [undefined, undefined],
  ['', undefined],
  ['-1', undefined],
  ['1.5', undefined],
  ['9999999999', undefined],
  ['soon', undefined],
  ['2026', 2_026_000],
  ['2026-03-02', undefined],
])('Retry-After %j is %j ms', (header, ms) => {
  expect(readRetryAfter(header, now)).toBe(ms)
})
