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
    '4155550100.0',
    '4155550100.00000',
    '4155550100,0',
    '4155550100.',
    '(415) 555.0100',
    '(415) 555-0100.0',
    '(4155550100.0)',
    '415.555-0100',
    '1.415.555.0100',
    '415.555.0100.0',
    '4.155.550.100',
    '4,155,550,100.00',
    '+1.4155550100',
    '4.155550100E+09',
    '4,155550100e9',
    '1.41555501000E+10',
    '4155550100E0',
    '415\u2212555\u22120100',
    '415\u207b555\u02d70100',
    '0014155550100',
    '00 1 415 555 0100',
    '011-1-415-555-0100',
    'tel:+1-415-555-0100',
    'TEL:4155550100',
    'sms:+14155550100',
    'p:+14155550100',
    '="4155550100"',
    '="+1 415 555 0100"',
    '=4155550100',
    '="4155550100.0"',
    "'4155550100",
    '"4155550100"',
    '４１５５５５０１００',
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
    '415555010.0',
    '415555010,0',
    '(415555010.0)',
    '415555010.0.',
    '415555010 . 0',
    '415-555-010.0',
    '415,555,010.0',
    '4155550.100',
    '415.5550100',
    '415555.0100',
    '4155550100.5',
    '4155550100.01',
    '4,155,550.000',
    '4 155 550.000',
    '4.15555E+09',
    '4.155550100E+8',
    '4.155550100E+10',
    '4155550100E-1',
    '4.155550100',
    '1.4155550100',
    '00014155550100',
    '004155550100',
    '00444155550100',
    'tel:4155550100;ext=5',
    '="4155550100"&"5"',
    `4155550100${' '.repeat(100)}`,
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

const separator = fc.constantFrom('', ' ', '-', '.', '\u2212', '\u2013', '/', '\u00a0')

test('no fraction is ever read as digits of a number', () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[2-9][0-9]{3,10}$/),
      fc.constantFrom('.', ','),
      fc.stringMatching(/^[0-9]{0,6}$/),
      (integer, point, fraction) => {
        const isNumber = integer.length === 10 && /^0*$/.test(fraction)
        expect(parsePhoneNumber(`${integer}${point}${fraction}`)).toBe(isNumber ? Number(integer) : undefined)
      },
    ),
  )
})

test('scientific notation is read only with all ten digits', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[2-9][0-9]{9}$/), fc.integer({ min: 1, max: 9 }), (digits, places) => {
      const text = `${digits[0]}.${digits.slice(1, places + 1)}E+9`
      expect(parsePhoneNumber(text)).toBe(places === 9 ? Number(digits) : undefined)
    }),
  )
})

test('a number in groups is read with any separators and country code', () => {
  const prefix = fc.constantFrom('', '1', '+1', '001', '011 1', 'tel:+1', "'")
  fc.assert(
    fc.property(fc.stringMatching(/^[2-9][0-9]{9}$/), prefix, separator, separator, (digits, code, first, second) => {
      fc.pre(first !== '' || second !== '.')
      fc.pre(!(first === '.' && second === ''))
      const text = `${code}${first}${digits.slice(0, 3)}${first}${digits.slice(3, 6)}${second}${digits.slice(6)}`
      expect(parsePhoneNumber(text)).toBe(Number(digits))
    }),
  )
})
