import { describe, expect, test } from 'vitest'
import type { Recipient } from '../../log/chunk.ts'
import { readSmppTime } from '../../smpp/pdu/time.ts'
import { decodeShortMessage } from '../../sms/parts.ts'
import { ChunkEncoder, type TextSettings } from './chunk-encoder.ts'

const defaultSettings: TextSettings = {
  charset: 'gsm7',
  longText: 'udh8',
  serviceType: '',
  sourceTon: null,
  sourceNpi: null,
  destTon: null,
  destNpi: null,
  validityS: null,
  validityPeriod: 'relative' as const,
}
const now = new Date('2030-06-01T12:00:00.400Z')
const after = (seconds: number) => new Date(now.getTime() + seconds * 1_000)
const recipient = (fields: Partial<Recipient> = {}): Recipient => ({
  id: 70_003,
  phone: 2_065_560_001,
  content: null,
  partCount: 1,
  ...fields,
})

function encoderOf(content: string, settings: Partial<TextSettings> = {}, chunk: object = {}) {
  const fields = { content, shortCode: '33733', closesAt: null, deliverBy: null, ...chunk }
  return new ChunkEncoder(fields, { ...defaultSettings, ...settings })
}

function pdusOf(encoder: ChunkEncoder, to = recipient()) {
  const encoded = encoder.encode(to)
  return encoded.pdus.map((_, n) => encoder.pdu(to, encoded, n, ''))
}

const long = 'x'.repeat(306)
// the reference of row 70,003, which is row 4,467 (0x1173) of the fifth slice; the slice number 4 is XORed into it
const reference = 0x1177

describe('the parts of a long text', () => {
  test('with udh8 have an 8-bit reference and 153 characters', () => {
    const pdus = pdusOf(encoderOf(long), recipient({ partCount: 2 }))
    expect(pdus.map((pdu) => [pdu.esm_class, pdu.short_message.length])).toEqual([
      [0x40, 159],
      [0x40, 159],
    ])
    expect([...(pdus[1]?.short_message.subarray(0, 6) ?? [])]).toEqual([5, 0, 3, reference & 255, 2, 2])
  })

  test('with udh16 have a 16-bit reference and 152 characters, so there may be more than expected', () => {
    const encoder = encoderOf(long, { longText: 'udh16' })
    const pdus = pdusOf(encoder)
    expect(pdus).toHaveLength(3)
    expect([...(pdus[2]?.short_message.subarray(0, 7) ?? [])]).toEqual([6, 8, 4, reference >> 8, reference & 255, 3, 3])
    const read = pdus.map((pdu) => decodeShortMessage(pdu.short_message, pdu.data_coding, pdu.esm_class))
    expect(read.map((part) => part.text).join('')).toBe(long)
    expect(read.map((part) => part.concat)).toEqual([1, 2, 3].map((sequence) => ({ reference, total: 3, sequence })))
    expect(encoder.encode(recipient()).partCount).toBe(3)
  })

  test('with sar have TLVs instead of a header', () => {
    const pdus = pdusOf(encoderOf(long, { longText: 'sar' }))
    expect(pdus.map(({ esm_class, short_message }) => [esm_class, short_message.toString()])).toEqual([
      [0, 'x'.repeat(153)],
      [0, 'x'.repeat(153)],
    ])
    expect(pdus.map(({ tlvs }) => tlvs)).toMatchObject(
      [1, 2].map((sequence) => ({
        sar_msg_ref_num: reference & 255,
        sar_total_segments: 2,
        sar_segment_seqnum: sequence,
      })),
    )
  })

  test('with payload are sent in one PDU but still counted', () => {
    const encoder = encoderOf(long, { longText: 'payload' })
    const [pdu, ...others] = pdusOf(encoder)
    expect(others).toEqual([])
    expect(pdu?.short_message).toHaveLength(0)
    expect(pdu?.tlvs?.message_payload?.toString()).toBe(long)
    expect(encoder.encode(recipient()).partCount).toBe(2)
    const [short] = pdusOf(encoderOf('short', { longText: 'payload' }))
    expect(short?.short_message.toString()).toBe('short')
    expect(short?.tlvs?.message_payload).toBeUndefined()
  })

  test('have different references in two texts to one phone', () => {
    const encoder = encoderOf(long)
    const references = [1, 2].map((id) => pdusOf(encoder, recipient({ id }))[0]?.short_message[3])
    expect(references).toEqual([1, 2])
  })

  test('have the same reference with recipient-specific content as with the content of the message', () => {
    const encoder = encoderOf(long, { longText: 'udh16' })
    const references = [null, long].map((content) => {
      const [pdu] = pdusOf(encoder, recipient({ id: 16_384 + 50, content, partCount: 3 }))
      return pdu?.short_message.readUInt16BE(3)
    })
    expect(references).toEqual([16_384 + 51, 16_384 + 51])
  })
})

describe('data_coding 0', () => {
  test.each([
    ['gsm7', 'Olé @ 5', 0, '4f6c0520002035'],
    ['latin1', 'Olé @ 5', 0, '4f6ce920402035'],
    ['gsm7', '5 €', 0, '35201b65'],
    // Latin-1 has no euro sign
    ['latin1', '5 €', 8, '0035002020ac'],
    // GSM-7 has no á, so the phone receives UCS-2, whatever the charset of the SMSC
    ['latin1', 'já', 8, '006a00e1'],
  ] as const)('encodes for charset %s: %s', (charset, content, data_coding, octets) => {
    const [pdu] = pdusOf(encoderOf(content, { charset }))
    expect(pdu?.data_coding).toBe(data_coding)
    expect(pdu?.short_message.toString('hex')).toBe(octets)
  })

  test('splits Latin-1 where GSM-7 is split: a bracket takes two septets on the phone', () => {
    const pdus = pdusOf(encoderOf('['.repeat(100), { charset: 'latin1' }))
    expect(pdus.map((pdu) => pdu.short_message.length - 6)).toEqual([76, 24])
  })
})

describe('addresses', () => {
  test('have a TON and NPI by their length, unless the connection sets them', () => {
    expect(pdusOf(encoderOf('a'))[0]).toMatchObject({
      source_addr: '33733',
      source_addr_ton: 3,
      source_addr_npi: 0,
      destination_addr: '12065560001',
      dest_addr_ton: 1,
      dest_addr_npi: 1,
      service_type: '',
    })
    const tollFree = encoderOf(
      'a',
      { sourceTon: 5, destNpi: 0, destTon: 2, serviceType: 'CMT' },
      { shortCode: '8885550100' },
    )
    expect(pdusOf(tollFree)[0]).toMatchObject({
      source_addr: '18885550100',
      source_addr_ton: 5,
      source_addr_npi: 1,
      dest_addr_ton: 2,
      dest_addr_npi: 0,
      service_type: 'CMT',
    })
  })
})

test('recipient-specific content replaces the content of the message', () => {
  const encoder = encoderOf('Hello {first_name}')
  const [pdu] = pdusOf(encoder, recipient({ content: 'Hello Ann' }))
  expect(pdu?.short_message.toString()).toBe('Hello Ann')
  expect(encoder.pduCount(recipient({ content: 'y'.repeat(200), partCount: 2 }))).toBe(2)
  expect(pdusOf(encoder, recipient({ content: 'y'.repeat(200), partCount: 2 }))).toHaveLength(2)
})

describe('validity_period', () => {
  test.each([
    ['is empty without a limit', null, null, null, ''],
    ['is the validity of the connection', 3_600, null, null, '000000010000000R'],
    ['ends with the sending window if that is sooner', 3_600, after(90.9), null, '000000000130000R'],
    ['ends with the deadline if that is soonest', 3_600, after(90), after(61), '000000000101000R'],
  ])('%s', (_, validityS, closesAt, deliverBy, expected) => {
    const validity = encoderOf('a', { validityS }, { closesAt, deliverBy }).validityAt(now)
    expect(validity).toBe(expected)
    const limit = Math.min(...[closesAt, deliverBy].map((at) => at?.getTime() ?? Number.POSITIVE_INFINITY))
    if (validity) expect(readSmppTime(validity, now.getTime())).toBeLessThanOrEqual(limit)
  })
})

test('the validity_period is a time in UTC or missing, if the connection requires that', () => {
  const at = new Date('2026-03-01T10:00:00.900Z')
  const of = (validityPeriod: 'absolute' | 'off') =>
    encoderOf('a', { validityS: 3_600, validityPeriod }, { deliverBy: null, closesAt: null }).validityAt(at)
  expect(of('absolute')).toBe('260301110000000+')
  expect(of('off')).toBe('')
  const unlimited = encoderOf('a', { validityPeriod: 'absolute' }, { deliverBy: null, closesAt: null })
  expect(unlimited.validityAt(at)).toBe('')
  const past = encoderOf('a', { validityPeriod: 'absolute' }, { deliverBy: new Date(0), closesAt: null })
  expect(past.validityAt(at)).toBe('260301100001000+')
})
