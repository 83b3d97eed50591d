import { expect, test } from 'vitest'
import { absoluteTime, readSmppTime, relativeTime } from './time.ts'

const now = Date.UTC(2026, 0, 31, 12, 0, 0)
const read = (text: string) => {
  const at = readSmppTime(text, now)
  return at === undefined ? undefined : new Date(at).toISOString()
}

test.each([
  ['the example of §7.1.1.1, two hours behind UTC', '020610233429000-', '2002-06-10T23:34:29.000Z'],
  ['a time ahead of UTC', '260131140000008+', '2026-01-31T12:00:00.000Z'],
  ['a time behind UTC, with a tenth of a second', '260131070000520-', '2026-01-31T12:00:00.500Z'],
  ['a period of two hours', '000000020000000R', '2026-01-31T14:00:00.000Z'],
  ['a period of a day, a minute and a second', '000001000101000R', '2026-02-01T12:01:01.000Z'],
  ['a period of 99 hours', '000000990000000R', '2026-02-04T15:00:00.000Z'],
])('readSmppTime parses %s', (_case, text, expected) => {
  expect(read(text)).toBe(expected)
})

test.each([
  '',
  'now',
  '2601311200000+',
  '261331120000000+',
  '260230120000000+',
  '260131240000000+',
  '260131126000000+',
  '260131120000099+',
  '260131120000000Z',
  '26013112000000 +',
])('readSmppTime returns undefined for %j', (text) => {
  expect(read(text)).toBeUndefined()
})

test('readSmppTime parses formatted times to the same instant', () => {
  expect(absoluteTime(now + 1_700)).toBe('260131120001700+')
  expect(readSmppTime(absoluteTime(now + 1_700), 0)).toBe(now + 1_700)
  for (const seconds of [1, 59, 60, 3_599, 86_399, 86_400, 31 * 86_400]) {
    expect(readSmppTime(relativeTime(seconds * 1_000), now)).toBe(now + seconds * 1_000)
  }
})

test('relativeTime rounds up, to at least 1 second and at most 31 days', () => {
  expect(relativeTime(1_001)).toBe('000000000002000R')
  expect(relativeTime(0)).toBe('000000000001000R')
  expect(relativeTime(90 * 86_400_000)).toBe('000031000000000R')
})
