import fc from 'fast-check'
import { SegmentedMessage } from 'sms-segments-calculator'
import { describe, expect, test } from 'vitest'
import { countParts, decodeShortMessage, encodeParts, splitText } from './parts.ts'

const a = (count: number) => 'A'.repeat(count)
const emoji = '🙏'

const lengths: [name: string, text: string, encoding: string, partLengths: number[]][] = [
  ['an empty text', '', 'gsm7', [0]],
  ['160 basic characters', a(160), 'gsm7', [160]],
  ['161 basic characters', a(161), 'gsm7', [153, 8]],
  ['306 basic characters', a(306), 'gsm7', [153, 153]],
  ['307 basic characters', a(307), 'gsm7', [153, 153, 1]],
  ['80 escaped characters', '['.repeat(80), 'gsm7', [80]],
  ['81 escaped characters', '['.repeat(81), 'gsm7', [76, 5]],
  ['100 escaped characters, without splitting the pair at septet 153', '['.repeat(100), 'gsm7', [76, 24]],
  ['159 basic characters and an escaped one', `${a(159)}€`, 'gsm7', [153, 7]],
  ['152 basic characters, then an escaped one', `${a(152)}€${a(10)}`, 'gsm7', [152, 11]],
  ['151 basic characters, then an escaped one', `${a(151)}€${a(10)}`, 'gsm7', [152, 10]],
  ['70 characters outside GSM-7', 'й'.repeat(70), 'ucs2', [70]],
  ['71 characters outside GSM-7', 'й'.repeat(71), 'ucs2', [67, 4]],
  ['134 characters outside GSM-7', 'й'.repeat(134), 'ucs2', [67, 67]],
  ['135 characters outside GSM-7', 'й'.repeat(135), 'ucs2', [67, 67, 1]],
  ['a text with one curly quote, which makes the whole text UCS-2', `${a(70)}’`, 'ucs2', [67, 4]],
  ['35 emoji', emoji.repeat(35), 'ucs2', [70]],
  ['36 emoji, without splitting the pair at unit 67', emoji.repeat(36), 'ucs2', [66, 6]],
  ['UCS-2, where escaped characters have one unit', `${'['.repeat(69)}й`, 'ucs2', [70]],
]

describe('splitText', () => {
  test.each(lengths)('splits %s', (_name, text, encoding, partLengths) => {
    const split = splitText(text)
    expect(split.encoding).toBe(encoding)
    expect(split.parts.map((part) => part.length)).toEqual(partLengths)
    expect(split.parts.join('')).toBe(text)
    expect(countParts(text)).toEqual({ encoding, partCount: partLengths.length })
  })

  test('throws for more than 255 parts', () => {
    expect(countParts(a(255 * 153)).partCount).toBe(255)
    expect(() => countParts(a(255 * 153 + 1))).toThrow(RangeError)
    expect(() => splitText('й'.repeat(255 * 67 + 1))).toThrow(RangeError)
  })
})

// Characters of both widths in both encodings, without joiners and combining marks, because the oracle counts graphemes.
const gsmText = fc.string({ unit: fc.constantFrom(...'aZ09 @£è\nΩ[]{}€~^|\\'), maxLength: 700 })
const anyText = fc.string({ unit: fc.constantFrom('a', '[', '€', 'й', '’', '中', '🙏', '𝒳'), maxLength: 400 })

describe('countParts', () => {
  test.each([
    ['GSM-7', gsmText],
    ['mixed', anyText],
  ])('agrees with sms-segments-calculator on %s texts', (_name, texts) => {
    fc.assert(
      fc.property(texts, (text) => {
        const oracle = new SegmentedMessage(text)
        const { encoding, partCount } = countParts(text)
        expect(encoding).toBe(oracle.encodingName === 'GSM-7' ? 'gsm7' : 'ucs2')
        expect(partCount).toBe(oracle.segmentsCount)
      }),
      { numRuns: 300 },
    )
  })
})

describe('encodeParts', () => {
  test('adds no header to a single part', () => {
    expect(encodeParts('Hi €', 7)).toEqual([
      { data_coding: 0, esm_class: 0, short_message: Buffer.from([0x48, 0x69, 0x20, 0x1b, 0x65]) },
    ])
    expect(encodeParts('й', 7)).toEqual([{ data_coding: 8, esm_class: 0, short_message: Buffer.from([0x04, 0x39]) }])
  })

  test('adds the header 05 00 03 ref total seq to each of several parts', () => {
    const parts = encodeParts(a(161), 0x1ab)
    expect(parts.map((part) => part.short_message.subarray(0, 6).toString('hex'))).toEqual([
      '050003ab0201',
      '050003ab0202',
    ])
    expect(parts.map((part) => part.short_message.length)).toEqual([6 + 153, 6 + 8])
    expect(parts.every((part) => part.esm_class === 0x40 && part.data_coding === 0)).toBe(true)
  })

  test('makes parts of at most 140 octets on the air, which decode to the text', () => {
    fc.assert(
      fc.property(fc.oneof(gsmText, anyText), fc.nat(255), (text, reference) => {
        const parts = encodeParts(text, reference)
        const decoded = parts.map((part) => decodeShortMessage(part.short_message, part.data_coding, part.esm_class))
        expect(decoded.map((part) => part.text).join('')).toBe(text)
        if (parts.length > 1) {
          expect(decoded.map((part) => part.concat)).toEqual(
            parts.map((_, index) => ({ reference, total: parts.length, sequence: index + 1 })),
          )
        }
        for (const { data_coding, esm_class, short_message } of parts) {
          const header = esm_class ? 6 : 0
          const septets = short_message.length - header + Math.ceil((header * 8) / 7)
          expect(data_coding === 0 ? septets : (short_message.length * 160) / 140).toBeLessThanOrEqual(160)
        }
      }),
      { numRuns: 300 },
    )
  })
})

const readings: [name: string, hex: string, data_coding: number, esm_class: number, expected: object][] = [
  ['GSM-7', '00481b65', 0, 0, { text: '@H€' }],
  ['ASCII', '40414224', 1, 0, { text: '@AB$' }],
  ['Latin-1', 'c7e9', 3, 0, { text: 'Çé' }],
  ['UCS-2', 'd83dde4f0041', 8, 0, { text: '🙏A' }],
  ['UCS-2 with an odd last octet', '004100', 8, 0, { text: 'A' }],
  ['half of a surrogate pair', '0041d83d', 8, 0, { text: 'A\ufffd' }],
  ['a NUL, which is removed', '004100000042', 8, 0, { text: 'AB' }],
  ["the handset's scheme: UCS-2 with a class", '0041', 0x18, 0, { text: 'A' }],
  ["the handset's scheme: GSM-7 with a class", '0041', 0xf1, 0, { text: '@A' }],
  ['no octets', '', 0, 0, { text: '' }],
  ['header bytes without the indicator, which are text', '05414243', 0, 0, { text: 'éABC' }],
  [
    'a header with an 8-bit reference',
    '0500032a020141',
    0,
    0x40,
    { text: 'A', concat: { reference: 42, total: 2, sequence: 1 } },
  ],
  [
    'a header with a 16-bit reference',
    '0608041234030241',
    0,
    0x40,
    { text: 'A', concat: { reference: 0x1234, total: 3, sequence: 2 } },
  ],
  [
    'UCS-2 after a header',
    '0500032a02020041',
    8,
    0x40,
    { text: 'A', concat: { reference: 42, total: 2, sequence: 2 } },
  ],
  [
    'a port element before the concatenation',
    '0b0504158a00000003070202' + '41',
    0,
    0x40,
    { text: 'A', concat: { reference: 7, total: 2, sequence: 2 } },
  ],
  ['a header with other elements only', '040102000041', 0, 0x40, { text: 'A' }],
  ['part 3 of 2, which is ignored', '050003070203' + '41', 0, 0x40, { text: 'A' }],
  ['part 0, which is ignored', '050003070200' + '41', 0, 0x40, { text: 'A' }],
  ['an element that extends past its header', '03000f0741', 0, 0x40, { text: 'A' }],
  ['a text with a wrong esm_class', '414243'.padEnd(140, '20'), 0, 0x40, { text: `ABC${' '.repeat(67)}` }],
  [
    'a header with several elements',
    '0800030702012401 01 41'.replaceAll(' ', ''),
    0,
    0x40,
    { text: 'A', concat: { reference: 7, total: 2, sequence: 1 } },
  ],
  ['a header that extends past the end, which is text', '4041', 0, 0x40, { text: '¡A' }],
  ['a header without a text', '050003070201', 0, 0x40, { text: '', concat: { reference: 7, total: 2, sequence: 1 } }],
]

describe('decodeShortMessage', () => {
  test.each(readings)('decodes %s', (_name, hex, data_coding, esm_class, expected) => {
    expect(decodeShortMessage(Buffer.from(hex, 'hex'), data_coding, esm_class)).toEqual(expected)
  })

  test('never throws, and returns a text that PostgreSQL can store', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 160 }), fc.nat(255), fc.nat(255), (bytes, data_coding, esm_class) => {
        const { text } = decodeShortMessage(bytes, data_coding, esm_class)
        expect(text.isWellFormed() && !text.includes('\0')).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })
})
