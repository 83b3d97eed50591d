import { expect, test } from 'vitest'
import { formatInstant, parseInstant } from './dates.ts'

test.each([
  ['2025-08-01T00:00:00-07:00', '2025-08-01T07:00:00.000Z', '2025-08-01T00:00:00-07:00'],
  ['2025-08-01T00:00:00Z', '2025-08-01T00:00:00.000Z', '2025-08-01T00:00:00Z'],
  ['2025-08-01 00:00+0530', '2025-07-31T18:30:00.000Z', '2025-08-01T00:00:00+05:30'],
  ['2025-08-01t12:00:00.1239z', '2025-08-01T12:00:00.123Z', '2025-08-01T12:00:00Z'],
  ['2025-08-01T00:00:00+00:00', '2025-08-01T00:00:00.000Z', '2025-08-01T00:00:00+00:00'],
])('parses %s', (text, utc, formatted) => {
  const parsed = parseInstant(text)
  expect(parsed?.instant.toISOString()).toBe(utc)
  expect(parsed && formatInstant(parsed)).toBe(formatted)
})

test.each([
  ...['', '2025-08-01', '2025-08-01T00:00:00', '2025-08-01T24:00:00Z', '2025-02-30T00:00:00Z', '20250801T000000Z'],
  ...['2025-08-01T00:00:00-7', '2025-08-01T00:00:00+25:00', '2025-08-01T00:00:00Z[UTC]', 'now', '1754006400'],
])('rejects %j', (text) => {
  expect(parseInstant(text)).toBeUndefined()
})
