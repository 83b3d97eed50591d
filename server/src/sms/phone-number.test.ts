import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatPhoneNumber, fromSmppAddress, parsePhoneNumber, toSmppAddress } from './phone-number.ts'

describe('parsePhoneNumber', () => {
  test.each([
    '4155550100',
    '14155550100',
    '+14155550100',
    '(415) 555-0100',
    '+1 (415) 555-0100',
    '1-415-555-0100',
    '415.555.0100',
    ' 415 555 0100\n',
    '\u202a+1 415\u00a0555\u20110100\u202c',
    4155550100,
    14155550100,
  ])('parses %j as 4155550100', (input) => {
    expect(parsePhoneNumber(input)).toBe(4155550100)
  })

  test('does not check the numbering plan: an exchange may begin with 1', () => {
    expect(parsePhoneNumber('2061234567')).toBe(2061234567)
  })

  test.each([
    '',
    '415555010',
    '41555501000',
    '24155550100',
    '114155550100',
    '1155550100',
    '0155550100',
    '+4155550100',
    '++14155550100',
    '415555+0100',
    '415555010O',
    '415-555-0100 x5',
    '٤١٥٥٥٥٠١٠٠',
    '4155550100\0',
    415555010,
    -4155550100,
    4155550100.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    4155550100n,
    null,
    undefined,
    true,
    ['4155550100'],
    {},
  ])('rejects %s', (input) => {
    expect(parsePhoneNumber(input)).toBeUndefined()
  })
})

describe('fromSmppAddress', () => {
  test.each(['14155550100', '4155550100', '+14155550100'])('parses %s as 4155550100', (address) => {
    expect(fromSmppAddress(address)).toBe(4155550100)
  })

  test.each(['12345', '', '447700900123', '415-555-0100', 'Carillon'])('returns undefined for %j', (address) => {
    expect(fromSmppAddress(address)).toBeUndefined()
  })
})

describe('toSmppAddress', () => {
  test('adds the country code', () => {
    expect(toSmppAddress(4155550100)).toBe('14155550100')
  })
})

test('every number is unchanged after a round trip in both formats', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2_000_000_000, max: 9_999_999_999 }), (phone) => {
      expect(parsePhoneNumber(formatPhoneNumber(phone))).toBe(phone)
      expect(fromSmppAddress(toSmppAddress(phone))).toBe(phone)
    }),
  )
})
