import { expect, test } from 'vitest'
import { readRange } from './byte-range.ts'

test.each([
  [undefined, 'all'],
  ['bytes=0-4', { from: 0, to: 4 }],
  ['bytes=4-', { from: 4, to: 9 }],
  ['bytes= 2 - 99', { from: 2, to: 9 }],
  ['bytes=-3', { from: 7, to: 9 }],
  ['bytes=-99', { from: 0, to: 9 }],
  ['bytes=9-9', { from: 9, to: 9 }],
  ['bytes=10-', 'unsatisfiable'],
  ['bytes=-0', 'unsatisfiable'],
  ['bytes=5-2', 'all'],
  ['bytes=0-1,3-4', 'all'],
  ['bytes=-', 'all'],
  ['lines=0-4', 'all'],
  ['bytes=1e3-', 'all'],
])('of ten bytes, %s selects %j', (header, expected) => {
  expect(readRange(header, 10)).toEqual(expected)
})

test('an empty file has no range', () => {
  expect(readRange('bytes=0-', 0)).toBe('unsatisfiable')
  expect(readRange('bytes=-1', 0)).toBe('unsatisfiable')
})
