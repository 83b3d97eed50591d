import { expect, test } from 'vitest'
import { decodeGsm7, encodeGsm7, fitsGsm7, septetsOf } from './gsm7.ts'

// Golden values from the table of TS 23.038 §6.2.1, column by column: the corners and all irregular characters.
const basic: [character: string, septet: number][] = [
  ['@', 0x00],
  ['£', 0x01],
  ['$', 0x02],
  ['¥', 0x03],
  ['è', 0x04],
  ['Ç', 0x09],
  ['\n', 0x0a],
  ['Ø', 0x0b],
  ['\r', 0x0d],
  ['å', 0x0f],
  ['Δ', 0x10],
  ['_', 0x11],
  ['Ω', 0x15],
  ['Ξ', 0x1a],
  ['Æ', 0x1c],
  ['É', 0x1f],
  [' ', 0x20],
  ['¤', 0x24],
  ['/', 0x2f],
  ['0', 0x30],
  ['?', 0x3f],
  ['¡', 0x40],
  ['A', 0x41],
  ['Z', 0x5a],
  ['Ä', 0x5b],
  ['§', 0x5f],
  ['¿', 0x60],
  ['a', 0x61],
  ['z', 0x7a],
  ['ä', 0x7b],
  ['à', 0x7f],
]

const extended: [character: string, septet: number][] = [
  ['\f', 0x0a],
  ['^', 0x14],
  ['{', 0x28],
  ['}', 0x29],
  ['\\', 0x2f],
  ['[', 0x3c],
  ['~', 0x3d],
  [']', 0x3e],
  ['|', 0x40],
  ['€', 0x65],
]

test.each(basic)('encodes %j as one septet', (character, septet) => {
  expect([...encodeGsm7(character)]).toEqual([septet])
  expect(septetsOf(character.charCodeAt(0))).toBe(1)
  expect(decodeGsm7(Uint8Array.of(septet))).toBe(character)
})

test.each(extended)('encodes %j as an escape and a septet', (character, septet) => {
  expect([...encodeGsm7(character)]).toEqual([0x1b, septet])
  expect(septetsOf(character.charCodeAt(0))).toBe(2)
  expect(decodeGsm7(Uint8Array.of(0x1b, septet))).toBe(character)
})

test('all 127 septets except the escape are unchanged after a round trip', () => {
  const septets = Array.from({ length: 128 }, (_, septet) => septet).filter((septet) => septet !== 0x1b)
  expect([...encodeGsm7(decodeGsm7(Uint8Array.from(septets)))]).toEqual(septets)
})

test.each(['ç', '`', 'ê', '’', '–', '\t', '\u00a0', '\x1b', '\0', '🙏', 'й'])(
  'rejects %j, which is not in the alphabet, instead of replacing it',
  (text) => {
    expect(fitsGsm7(text)).toBe(false)
    expect(() => encodeGsm7(`a${text}`)).toThrow(RangeError)
  },
)

test.each([
  ['decodes an escape before an undefined septet as the basic character', [0x41, 0x1b, 0x42], 'AB'],
  ['decodes an escape at the end as a space', [0x41, 0x1b], 'A '],
  ['decodes two escapes as a space', [0x1b, 0x1b, 0x41], ' A'],
  ['decodes octets above 0x7f as Latin-1', [0xe9, 0x41], 'éA'],
])('%s', (_name, bytes, text) => {
  expect(decodeGsm7(Uint8Array.from(bytes))).toBe(text)
})
