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
])('%j is written %j', (character, text) => {
  expect(lookAlike(character)).toBe(text)
})

test('whatever the text, what comes of it is GSM-7, and a text that is stays as it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const plain = toGsm7(text)
      expect(fitsGsm7(plain)).toBe(true)
      expect(toGsm7(plain)).toBe(plain)
      expect(charactersOutsideGsm7(text).size === 0).toBe(fitsGsm7(text))
    }),
  )
})

test('what a text lacks is told once each, pairs of surrogates whole', () => {
  expect([...charactersOutsideGsm7('“Hi” 👍👍 Zoë“')]).toEqual(['“', '”', '👍', 'ë'])
})
