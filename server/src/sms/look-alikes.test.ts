import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fitsGsm7 } from './gsm7.ts'
import { charactersOutsideGsm7, lookAlike, toGsm7 } from './look-alikes.ts'

test.each([
  ['a', 'a'],
  ['{', '{'],
  ['é', 'é'],
  ['ë', 'e'],
  ['Ł', 'L'],
  ['ł', 'l'],
  ['þ', 'th'],
  ['’', "'"],
  ['“', '"'],
  ['—', '-'],
  ['…', '...'],
  ['\u00a0', ' '],
  ['\u200b', ''],
  ['ﬁ', 'fi'],
  ['½', ''],
  ['👍', ''],
  ['字', ''],
])('replaces %j with %j', (character, text) => {
  expect(lookAlike(character)).toBe(text)
})

test('toGsm7 converts any text to GSM-7 and does not change GSM-7 texts', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const plain = toGsm7(text)
      expect(fitsGsm7(plain)).toBe(true)
      expect(toGsm7(plain)).toBe(plain)
      expect(charactersOutsideGsm7(text).size === 0).toBe(fitsGsm7(text))
    }),
  )
})

test('charactersOutsideGsm7 returns each character once, surrogate pairs whole', () => {
  expect([...charactersOutsideGsm7('“Hi” 👍👍 Zoë“')]).toEqual(['“', '”', '👍', 'ë'])
})
