import { expect, test } from 'vitest'
import { cutsSurrogatePair, decodeUcs2, encodeUcs2 } from './ucs2.ts'

test.each([
  ['A', '0041'],
  ['é', '00e9'],
  ['й', '0439'],
  ['€', '20ac'],
  ['🙏', 'd83dde4f'],
  ['', ''],
])('encodes %j as big-endian %s', (text, hex) => {
  expect(encodeUcs2(text).toString('hex')).toBe(hex)
  expect(decodeUcs2(Buffer.from(hex, 'hex'))).toBe(text)
})

test('drops an odd last octet, and does not change the input', () => {
  const bytes = Uint8Array.of(0x00, 0x41, 0x00)
  expect(decodeUcs2(bytes)).toBe('A')
  expect([...bytes]).toEqual([0x00, 0x41, 0x00])
})

test.each([
  ['a🙏b', 1, false],
  ['a🙏b', 2, true],
  ['a🙏b', 3, false],
  ['🙏🙏', 2, false],
  ['\u{10000}', 1, true],
  ['\u{10ffff}', 1, true],
  ['a\ud83d', 2, false],
])('a split of %j before index %i separates a surrogate pair: %s', (text, index, cuts) => {
  expect(cutsSurrogatePair(text, index)).toBe(cuts)
})
