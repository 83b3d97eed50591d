import { describe, expect, test } from 'vitest'
import type { Recipient } from '../../log/chunk.ts'
import { readSmppTime } from '../../smpp/pdu/time.ts'
import { decodeShortMessage } from '../../sms/parts.ts'
import { ChunkEncoder, type TextSettings } from './chunk-encoder.ts'

const usual: TextSettings = {
  charset: 'gsm7',
  longText: 'udh8',
  serviceType: '',
  sourceTon: null,
  sourceNpi: null,
  destTon: null,
  destNpi: null,
  validityS: null,
}
const now = new Date('2030-06-01T12:00:00.400Z')
const after = (seconds: number) => new Date(now.getTime() + seconds * 1_000)
const recipient = (given: Partial<Recipient> = {}): Recipient => ({
  id: 70_003,
  phone: 2_065_560_001,
  content: null,
  partCount: 1,
  ...given,
})

function textOf(content: string, settings: Partial<TextSettings> = {}, chunk: object = {}) {
  const given = { content, shortCode: '33733', closesAt: null, deliverBy: null, ...chunk }
  return new ChunkEncoder(given, { ...usual, ...settings })
}

function pdusOf(text: ChunkEncoder, to = recipient()) {
  const encoded = text.encode(to)
  return encoded.pdus.map((_, n) => text.pdu(to, encoded, n, ''))
}

const long = 'x'.repeat(306)
// row 4,467 of the fifth slice (0x1173, with a 4 in it)
const reference = 0x1177

describe('the parts of a long text', () => {
  test('udh8: an 8-bit reference, 153 characters each', () => {
    const pdus = pdusOf(textOf(long), recipient({ partCount: 2 }))
    expect(pdus.map((pdu) => [pdu.esm_class, pdu.short_message.length])).toEqual([
      [0x40, 159],
      [0x40, 159],
    ])
    expect([...(pdus[1]?.short_message.subarray(0, 6) ?? [])]).toEqual([5, 0, 3, reference & 255, 2, 2])
  })

  test('udh16: a 16-bit reference and 152 characters each, so the part count may need a correction', () => {
    const text = textOf(long, { longText: 'udh16' })
    const pdus = pdusOf(text)
    expect(pdus).toHaveLength(3)
    expect([...(pdus[2]?.short_message.subarray(0, 7) ?? [])]).toEqual([6, 8, 4, reference >> 8, reference & 255, 3, 3])
    const read = pdus.map((pdu) => decodeShortMessage(pdu.short_message, pdu.data_coding, pdu.esm_class))
    expect(read.map((part) => part.text).join('')).toBe(long)
    expect(read.map((part) => part.concat)).toEqual([1, 2, 3].map((sequence) => ({ reference, total: 3, sequence })))
    expect(text.encode(recipient()).partCount).toBe(3)
  })

  test('sar: no header, the same in TLVs', () => {
    const pdus = pdusOf(textOf(long, { longText: 'sar' }))
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

  test('payload: all of it in one PDU, and still two parts', () => {
    const text = textOf(long, { longText: 'payload' })
    const [pdu, ...others] = pdusOf(text)
    expect(others).toEqual([])
    expect(pdu?.short_message).toHaveLength(0)
    expect(pdu?.tlvs?.message_payload?.toString()).toBe(long)
    expect(text.encode(recipient()).partCount).toBe(2)
    const [short] = pdusOf(textOf('short', { longText: 'payload' }))
    expect(short?.short_message.toString()).toBe('short')
    expect(short?.tlvs?.message_payload).toBeUndefined()
  })

  test('two texts to one handset have different references', () => {
    const text = textOf(long)
    const references = [1, 2].map((id) => pdusOf(text, recipient({ id }))[0]?.short_message[3])
    expect(references).toEqual([1, 2])
  })

  test('a reference is the same for recipient-specific and common content', () => {
    const text = textOf(long, { longText: 'udh16' })
    const references = [null, long].map((content) => {
      const [pdu] = pdusOf(text, recipient({ id: 16_384 + 50, content, partCount: 3 }))
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
    // Latin-1 has no euro
    ['latin1', '5 €', 8, '0035002020ac'],
    // and GSM-7 no acute a, which a handset gets as UCS-2 whatever the SMSC's own charset
    ['latin1', 'já', 8, '006a00e1'],
  ] as const)('as %s: %s', (charset, content, data_coding, octets) => {
    const [pdu] = pdusOf(textOf(content, { charset }))
    expect(pdu?.data_coding).toBe(data_coding)
    expect(pdu?.short_message.toString('hex')).toBe(octets)
  })

  test('Latin-1 is cut where GSM-7 is: a bracket takes two septets of the handset', () => {
    const pdus = pdusOf(textOf('['.repeat(100), { charset: 'latin1' }))
    expect(pdus.map((pdu) => pdu.short_message.length - 6)).toEqual([76, 24])
  })
})

describe('addresses', () => {
  test('have a type that follows from their length, unless the connection sets it', () => {
    expect(pdusOf(textOf('a'))[0]).toMatchObject({
      source_addr: '33733',
      source_addr_ton: 3,
      source_addr_npi: 0,
      destination_addr: '12065560001',
      dest_addr_ton: 1,
      dest_addr_npi: 1,
      service_type: '',
    })
    const tollFree = textOf(
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

test('a recipient with their own text gets that', () => {
  const text = textOf('Hello {first_name}')
  const [pdu] = pdusOf(text, recipient({ content: 'Hello Ann' }))
  expect(pdu?.short_message.toString()).toBe('Hello Ann')
  expect(text.pduCount(recipient({ content: 'y'.repeat(200), partCount: 2 }))).toBe(2)
  expect(pdusOf(text, recipient({ content: 'y'.repeat(200), partCount: 2 }))).toHaveLength(2)
})

describe('validity_period', () => {
  test.each([
    ['none', null, null, null, ''],
    ['the connection’s', 3_600, null, null, '000000010000000R'],
    ['the window’s, when that is sooner', 3_600, after(90.9), null, '000000000130000R'],
    ['the deadline’s, when that is soonest', 3_600, after(90), after(61), '000000000101000R'],
  ])('%s', (_, validityS, closesAt, deliverBy, expected) => {
    const validity = textOf('a', { validityS }, { closesAt, deliverBy }).validityAt(now)
    expect(validity).toBe(expected)
    const limit = Math.min(...[closesAt, deliverBy].map((at) => at?.getTime() ?? Number.POSITIVE_INFINITY))
    if (validity) expect(readSmppTime(validity, now.getTime())).toBeLessThanOrEqual(limit)
  })
})
