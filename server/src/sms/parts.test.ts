import fc from 'fast-check'
import { SegmentedMessage } from 'sms-segments-calculator'
import { describe, expect, test } from 'vitest'
import { countParts, decodeShortMessage, encodeParts, splitText } from './parts.ts'

const a = (count: number) => 'A'.repeat(count)
const emoji = '🙏'

const lengths: [name: string, text: string, encoding: string, partLengths: number[]][] = [
  ['nothing', '', 'gsm7', [0]],
  ['160 plain', a(160), 'gsm7', [160]],
  ['161 plain', a(161), 'gsm7', [153, 8]],
  ['306 plain', a(306), 'gsm7', [153, 153]],
  ['307 plain', a(307), 'gsm7', [153, 153, 1]],
  ['80 escaped', '['.repeat(80), 'gsm7', [80]],
  ['81 escaped', '['.repeat(81), 'gsm7', [76, 5]],
  ['100 escaped: 76 and 24, the pair at septet 153 uncut', '['.repeat(100), 'gsm7', [76, 24]],
  ['159 plain and an escaped one', `${a(159)}€`, 'gsm7', [153, 7]],
  ['152 plain, then an escaped one', `${a(152)}€${a(10)}`, 'gsm7', [152, 11]],
  ['151 plain, then an escaped one', `${a(151)}€${a(10)}`, 'gsm7', [152, 10]],
  ['70 foreign', 'й'.repeat(70), 'ucs2', [70]],
  ['71 foreign', 'й'.repeat(71), 'ucs2', [67, 4]],
  ['134 foreign', 'й'.repeat(134), 'ucs2', [67, 67]],
  ['135 foreign', 'й'.repeat(135), 'ucs2', [67, 67, 1]],
  ['one curly quote makes all of it UCS-2', `${a(70)}’`, 'ucs2', [67, 4]],
  ['35 emoji', emoji.repeat(35), 'ucs2', [70]],
  ['36 emoji: the pair at unit 67 uncut', emoji.repeat(36), 'ucs2', [66, 6]],
  ['escapes cost nothing in UCS-2', `${'['.repeat(69)}й`, 'ucs2', [70]],
]

describe('splitText', () => {
  test.each(lengths)('%s', (_name, text, encoding, partLengths) => {
    const split = splitText(text)
    expect(split.encoding).toBe(encoding)
    expect(split.parts.map((part) => part.length)).toEqual(partLengths)
    expect(split.parts.join('')).toBe(text)
    expect(countParts(text)).toEqual({ encoding, partCount: partLengths.length })
  })

  test('more than 255 parts throw', () => {
    expect(countParts(a(255 * 153)).partCount).toBe(255)
    expect(() => countParts(a(255 * 153 + 1))).toThrow(RangeError)
    expect(() => splitText('й'.repeat(255 * 67 + 1))).toThrow(RangeError)
  })
})

// Characters of both widths of both encodings. The oracle counts by grapheme, so no joiners or combining marks.
const gsmText = fc.string({ unit: fc.constantFrom(...'aZ09 @£è\nΩ[]{}€~^|\\'), maxLength: 700 })
const anyText = fc.string({ unit: fc.constantFrom('a', '[', '€', 'й', '’', '中', '🙏', '𝒳'), maxLength: 400 })

describe('against sms-segments-calculator', () => {
  test.each([
    ['GSM-7', gsmText],
    ['mixed', anyText],
  ])('%s texts have the same count', (_name, texts) => {
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
  test('one part has no header', () => {
    expect(encodeParts('Hi €', 7)).toEqual([
      { data_coding: 0, esm_class: 0, short_message: Buffer.from([0x48, 0x69, 0x20, 0x1b, 0x65]) },
    ])
    expect(encodeParts('й', 7)).toEqual([{ data_coding: 8, esm_class: 0, short_message: Buffer.from([0x04, 0x39]) }])
  })

  test('each of several parts begins with 05 00 03 ref total seq', () => {
    const parts = encodeParts(a(161), 0x1ab)
    expect(parts.map((part) => part.short_message.subarray(0, 6).toString('hex'))).toEqual([
      '050003ab0201',
      '050003ab0202',
    ])
    expect(parts.map((part) => part.short_message.length)).toEqual([6 + 153, 6 + 8])
    expect(parts.every((part) => part.esm_class === 0x40 && part.data_coding === 0)).toBe(true)
  })

  test('no part is longer than 140 octets on the air, and all of them decode to the text', () => {
    fc.assert(
      fc.property(fc.oneof(gsmText, anyText), fc.nat(255), (text, reference) => {
        const parts = encodeParts(text, reference)
        const read = parts.map((part) => decodeShortMessage(part.short_message, part.data_coding, part.esm_class))
        expect(read.map((part) => part.text).join('')).toBe(text)
        if (parts.length > 1) {
          expect(read.map((part) => part.concat)).toEqual(
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
  ['half a surrogate pair', '0041d83d', 8, 0, { text: 'A\ufffd' }],
  ['NUL is left out', '004100000042', 8, 0, { text: 'AB' }],
  ['a handset scheme passed through: UCS-2 with a class', '0041', 0x18, 0, { text: 'A' }],
  ['a handset scheme passed through: GSM-7 with a class', '0041', 0xf1, 0, { text: '@A' }],
  ['nothing', '', 0, 0, { text: '' }],
  ['header bytes without the indicator are text', '05414243', 0, 0, { text: 'éABC' }],
  ['8-bit reference', '0500032a020141', 0, 0x40, { text: 'A', concat: { reference: 42, total: 2, sequence: 1 } }],
  [
    '16-bit reference',
    '0608041234030241',
    0,
    0x40,
    { text: 'A', concat: { reference: 0x1234, total: 3, sequence: 2 } },
  ],
  [
    'UCS-2 behind a header',
    '0500032a02020041',
    8,
    0x40,
    { text: 'A', concat: { reference: 42, total: 2, sequence: 2 } },
  ],
  [
    'a port element before it',
    '0b0504158a00000003070202' + '41',
    0,
    0x40,
    { text: 'A', concat: { reference: 7, total: 2, sequence: 2 } },
  ],
  ['other elements only', '040102000041', 0, 0x40, { text: 'A' }],
  ['part 3 of 2 is ignored', '050003070203' + '41', 0, 0x40, { text: 'A' }],
  ['part 0 is ignored', '050003070200' + '41', 0, 0x40, { text: 'A' }],
  ['an element that runs past its header', '03000f0741', 0, 0x40, { text: 'A' }],
  ['a header that runs past the end is text', '4041', 0, 0x40, { text: '¡A' }],
  ['header only', '050003070201', 0, 0x40, { text: '', concat: { reference: 7, total: 2, sequence: 1 } }],
]

describe('decodeShortMessage', () => {
  test.each(readings)('%s', (_name, hex, data_coding, esm_class, expected) => {
    expect(decodeShortMessage(Buffer.from(hex, 'hex'), data_coding, esm_class)).toEqual(expected)
  })

  test('never throws, and its result can be stored', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 160 }), fc.nat(255), fc.nat(255), (bytes, data_coding, esm_class) => {
        const { text } = decodeShortMessage(bytes, data_coding, esm_class)
        expect(text.isWellFormed() && !text.includes('\0')).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })
})
