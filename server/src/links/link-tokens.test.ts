import { randomInt } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LinkTokens, maxLinkId, tokenLength } from './link-tokens.ts'

const tokens = new LinkTokens('ca'.repeat(32))
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const anyDigit = () => digits.charAt(randomInt(digits.length))

test('a token has a fixed length and contains the link and the phone', () => {
  const link = fc.integer({ min: 0, max: maxLinkId })
  fc.assert(
    fc.property(link, fc.integer({ min: 0, max: 9_999_999_999 }), (linkId, phone) => {
      const token = tokens.write({ linkId, phone })
      expect(token).toMatch(/^[0-9A-Za-z]{18}$/)
      expect(tokens.read(token)).toEqual({ linkId, phone })
    }),
  )
})

test('a link or phone that does not fit is an error', () => {
  expect(() => tokens.write({ linkId: maxLinkId + 1, phone: 2065550143 })).toThrow(RangeError)
  expect(() => tokens.write({ linkId: 1, phone: 2 ** 34 })).toThrow(RangeError)
})

test('a million guessed tokens have no hit', () => {
  const known = tokens.write({ linkId: 7, phone: 2065550143 })
  let hits = 0
  for (let n = 0; n < 1_000_000; n++) {
    const at = n % tokenLength
    // a neighbor of a known token, and a token with its end only
    const guess =
      n % 2 === 0
        ? known.slice(0, at) + anyDigit() + known.slice(at + 1)
        : Array.from({ length: 8 }, anyDigit).join('') + known.slice(8)
    if (guess !== known && tokens.read(guess)) hits++
  }
  expect(hits).toBe(0)
})

test('what is not a token, or is one of another installation, is not read', () => {
  const token = tokens.write({ linkId: 7, phone: 2065550143 })
  expect(new LinkTokens('cb'.repeat(32)).read(token)).toBeUndefined()
  for (const other of ['', token.slice(1), `${token}0`, `${token.slice(0, -1)}-`, 'z'.repeat(18), '0'.repeat(18)]) {
    expect(tokens.read(other)).toBeUndefined()
  }
})
