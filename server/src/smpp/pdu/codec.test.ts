import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { golden, hex, pduBytes, submit, submitBody, text } from '../../../test/golden-pdus.ts'
import { decodePdu, encodePdu } from './codec.ts'
import { commandStatus } from './command-status.ts'
import { type Command, commands } from './commands.ts'
import { toHandset } from './destinations.ts'
import { blankPdu, type Pdu, type PduOf, submitMulti, submitSm } from './pdu.ts'
import { PduError } from './pdu-error.ts'
import { tlvTable } from './tlvs.ts'

function rejection(bytes: Buffer): { command_status: number; sequence_number: number } {
  try {
    decodePdu(bytes)
  } catch (error) {
    if (error instanceof PduError) return error
    throw error
  }
  throw new Error('decodePdu did not throw')
}

const truncate = (bytes: Buffer, length: number) => {
  const shorter = Buffer.from(bytes.subarray(0, length))
  shorter.writeUInt32BE(length)
  return shorter
}

describe('decodePdu rejects', () => {
  const bytes = pduBytes('00000004', '00000000', '00000007', ...submitBody)

  test('a truncated header, and a command_length that differs from the length', () => {
    expect(rejection(bytes.subarray(0, 15))).toMatchObject({ command_status: 0x02, sequence_number: 0 })
    expect(rejection(bytes.subarray(0, 40))).toMatchObject({ command_status: 0x02, sequence_number: 7 })
  })

  test('an unknown command_id', () => {
    expect(rejection(pduBytes('00000099', '00000000', '00000007'))).toMatchObject({
      command_status: 0x03,
      sequence_number: 7,
    })
  })

  test('a request that is truncated at any octet', () => {
    for (let length = 16; length < bytes.length; length++) {
      expect(rejection(truncate(bytes, length))).toMatchObject({ sequence_number: 7, command: 'submit_sm' })
    }
  })

  test('an address that is too long, with the status of its field', () => {
    const long = pduBytes(
      '00000004',
      '00000000',
      '00000007',
      '00 0101',
      `${text('1'.repeat(21))}00`,
      ...submitBody.slice(2),
    )
    expect(rejection(long)).toMatchObject({ command_status: commandStatus.ESME_RINVSRCADR })
  })

  test.each([
    ['an empty list', '00', commandStatus.ESME_RINVNUMDESTS],
    ['a list shorter than its count', `02 01 01 01 ${text('911')}00`, commandStatus.ESME_RINVDESTFLAG],
    ['an unknown flag', `01 03 01 01 ${text('911')}00`, commandStatus.ESME_RINVDESTFLAG],
    ['an address that is too long', `01 01 01 01 ${text('9'.repeat(21))}00`, commandStatus.ESME_RINVDSTADR],
    ['a list name that is too long', `01 02 ${text('x'.repeat(21))}00`, commandStatus.ESME_RINVDLNAME],
  ])('destinations with %s', (_case, destinations, command_status) => {
    const bytes = pduBytes('00000021', '00000000', '00000007', '00 00 00 00', destinations, '00'.repeat(10))
    expect(rejection(bytes)).toMatchObject({ command_status, command: 'submit_multi', sequence_number: 7 })
  })

  test('an sm_length beyond the end', () => {
    const body = [...submitBody.slice(0, -1), '05 00480069']
    expect(rejection(pduBytes('00000004', '00000000', '00000007', ...body))).toMatchObject({
      command_status: commandStatus.ESME_RINVMSGLEN,
    })
  })

  test('truncated TLVs', () => {
    const truncated = pduBytes('00000004', '00000000', '00000007', ...submitBody, '0204 00')
    expect(rejection(truncated)).toMatchObject({
      command_status: commandStatus.ESME_RINVOPTPARSTREAM,
      command: 'submit_sm',
    })
    const long = pduBytes('00000004', '00000000', '00000007', ...submitBody, '0204 0003 BEEF')
    expect(rejection(long)).toMatchObject({ command_status: commandStatus.ESME_RINVPARLEN, command: 'submit_sm' })
  })
})

describe('decodePdu tolerates', () => {
  test('a response with a missing or truncated body, because the peer has already acted', () => {
    expect(decodePdu(pduBytes('80000004', '00000000', '00000007'))).toMatchObject({ message_id: '' })
    expect(decodePdu(pduBytes('80000004', '00000000', '00000007', text('1a2b')))).toMatchObject({ message_id: '1a2b' })
    const truncated = pduBytes('80000004', '00000000', '00000007', `${text('1a2b')}00`, '0204 0009')
    expect(decodePdu(truncated)).toMatchObject({ message_id: '1a2b' })
  })

  test('a truncated list of rejected destinations, of which it returns the whole ones', () => {
    const one = `01 01 ${text('911')}00 0000000B`
    const bytes = pduBytes('80000021', '00000000', '00000007', `${text('1a')}00 02`, one, '01 01 39')
    expect(decodePdu(bytes)).toMatchObject({
      message_id: '1a',
      unsuccess_sme: [{ destination_addr: '911', error_status_code: 0x0b }],
    })
  })

  test('a receipted_message_id without its NUL', () => {
    const bytes = pduBytes('00000004', '00000000', '00000007', ...submitBody, `001E 0004 ${text('1a2b')}`)
    expect(decodePdu(bytes).tlvs).toEqual({ receipted_message_id: '1a2b' })
  })

  test('a known TLV of a wrong length or a repeated TLV, which become unknown TLVs', () => {
    const bytes = pduBytes(
      '00000004',
      '00000000',
      '00000007',
      ...submitBody,
      '0427 0002 0001',
      '0204 0002 0001',
      '0204 0002 0002',
    )
    expect(decodePdu(bytes).tlvs).toEqual({
      user_message_reference: 1,
      unknown: [
        { tag: 0x0427, value: hex('0001') },
        { tag: 0x0204, value: hex('0002') },
      ],
    })
  })
})

describe('decodePdu of a deliver_sm', () => {
  const header = ['00000005', '00000000', '00000007']
  const upToText = ['00 0101', `${text('12065550100')}00`, '0300', `${text('12345')}00`, '00'.repeat(9)]
  const decode = (...rest: string[]) =>
    decodePdu(pduBytes(...(header as [string, string, string]), ...upToText, ...rest))
  const stop = text('STOP')

  test.each([
    ['one octet behind the text', `04 ${stop} 00`, 'STOP', undefined],
    [
      'a truncated TLV behind a whole one',
      `04 ${stop} 0204 0002 0007 1401 000a 3737`,
      'STOP',
      { user_message_reference: 7 },
    ],
    ['half a TLV header behind a whole one', `04 ${stop} 0204 0002 0007 14`, 'STOP', { user_message_reference: 7 }],
    ['an sm_length beyond the end', `0a ${stop}`, 'STOP', undefined],
    ['an sm_length that is too small', `02 ${stop}`, 'STOP', undefined],
    ['an sm_length of 0 before the text', `00 ${stop}`, 'STOP', undefined],
    ['no sm_length', '', '', undefined],
    ['a truncated message_payload', `00 0424 000a ${stop}`, '', { message_payload: Buffer.from('STOP') }],
    ['a truncated receipted_message_id', `04 ${stop} 001e 000a ${text('1a2')}`, 'STOP', undefined],
  ])('with %s has a flaw and what is readable', (_case, rest, content, tlvs) => {
    const pdu = decode(rest)
    expect(pdu).toMatchObject({ command: 'deliver_sm', source_addr: '12065550100', flaw: expect.any(String) })
    expect((pdu as PduOf<'deliver_sm'>).short_message.toString()).toBe(content)
    expect(pdu.tlvs).toEqual(tlvs)
  })

  test('with an address that is too long has a flaw and the whole address', () => {
    const body = ['00 0101', `${text('0'.repeat(20))}${text('12065550100')}00`, ...upToText.slice(2), `04 ${stop}`]
    expect(decodePdu(pduBytes('00000005', '00000000', '00000007', ...body))).toMatchObject({
      source_addr: `${'0'.repeat(20)}12065550100`,
      flaw: expect.any(String),
    })
  })

  test('without a flaw has none, and the TLVs of vendors are no flaw', () => {
    expect(decode(`04 ${stop} 1401 0002 3737`).flaw).toBeUndefined()
  })

  test('that ends before its text is rejected', () => {
    const bytes = pduBytes('00000005', '00000000', '00000007', ...upToText)
    for (let length = 16; length < bytes.length; length++) {
      expect(rejection(truncate(bytes, length))).toMatchObject({ sequence_number: 7, command: 'deliver_sm' })
    }
  })
})

describe('encodePdu rejects', () => {
  const rejected: [string, Partial<PduOf<'submit_sm'>>, number][] = [
    ['a NUL inside a string', { destination_addr: '1206\x005550100' }, commandStatus.ESME_RINVDSTADR],
    ['a character above 0xff', { source_addr: 'Ω' }, commandStatus.ESME_RINVSRCADR],
    ['an address of 21 characters', { destination_addr: '1'.repeat(21) }, commandStatus.ESME_RINVDSTADR],
    ['a text of 255 octets', { short_message: Buffer.alloc(255) }, commandStatus.ESME_RINVMSGLEN],
    ['256 in a one-octet field', { data_coding: 256 }, commandStatus.ESME_RSYSERR],
    ['a fraction in a one-octet field', { data_coding: 1.5 }, commandStatus.ESME_RSYSERR],
    ['65,536 in a two-octet field', { tlvs: { user_message_reference: 65536 } }, commandStatus.ESME_RINVOPTPARAMVAL],
    [
      'a payload of 65,536 octets',
      { tlvs: { message_payload: Buffer.alloc(65536) } },
      commandStatus.ESME_RINVOPTPARAMVAL,
    ],
    ['a NUL inside a TLV', { tlvs: { receipted_message_id: 'a\0b' } }, commandStatus.ESME_RINVOPTPARAMVAL],
  ]
  test.each(rejected)('%s', (_case, fields, command_status) => {
    expect(() => encodePdu({ ...submit, ...fields })).toThrow(expect.objectContaining({ command_status }))
  })

  test.each([
    ['no destination', [], commandStatus.ESME_RINVNUMDESTS],
    ['255 destinations', Array.from({ length: 255 }, () => toHandset('911')), commandStatus.ESME_RINVNUMDESTS],
    ['an address of 21 characters', [toHandset('9'.repeat(21))], commandStatus.ESME_RINVDSTADR],
    ['an address with a NUL', [toHandset('9\x001')], commandStatus.ESME_RINVDSTADR],
    ['a type of number above 255', [toHandset('911', 256)], commandStatus.ESME_RINVDSTTON],
  ])('submit_multi with %s', (_case, dest_address, command_status) => {
    const pdu = submitMulti({ dest_address, short_message: Buffer.from('hi') })
    expect(() => encodePdu(pdu)).toThrow(expect.objectContaining({ command_status, command: 'submit_multi' }))
  })
})

describe('encodePdu accepts', () => {
  test('the longest list of destinations and of rejected destinations', () => {
    const dest_address = Array.from({ length: 254 }, () => toHandset('9'.repeat(20), 255, 255))
    const multi = submitMulti({ dest_address, short_message: Buffer.alloc(254, 5) })
    expect(decodePdu(encodePdu(multi))).toEqual(multi)
    const unsuccess_sme = dest_address.map(() => ({
      dest_addr_ton: 255,
      dest_addr_npi: 255,
      destination_addr: '9'.repeat(20),
      error_status_code: 0xffff_ffff,
    }))
    const response = { ...blankPdu('submit_multi_resp'), message_id: '1'.repeat(64), unsuccess_sme }
    expect(decodePdu(encodePdu(response))).toEqual(response)
  })

  test('the maximum length of every field', () => {
    const longest = submitSm({
      service_type: '12345',
      source_addr: '1'.repeat(20),
      destination_addr: '2'.repeat(20),
      schedule_delivery_time: '3'.repeat(16),
      validity_period: '4'.repeat(16),
      short_message: Buffer.alloc(254, 5),
      tlvs: { message_payload: Buffer.alloc(65535, 6), receipted_message_id: '7'.repeat(64) },
    })
    expect(decodePdu(encodePdu(longest))).toEqual(longest)
  })
})

const octet = fc.integer({ min: 0, max: 255 })
const latin1 = (maxLength: number) =>
  fc.array(fc.integer({ min: 1, max: 255 }), { maxLength }).map((codes) => String.fromCharCode(...codes))
const octets = (maxLength: number) => fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes))

const anyTlvs = fc.record(
  {
    ...Object.fromEntries(
      Object.entries(tlvTable).map(([name, [, type]]): [string, fc.Arbitrary<unknown>] => {
        if (type === 'octets') return [name, octets(40)]
        if (type === 'cstring') return [name, latin1(20)]
        if (type === 'flag') return [name, fc.constant(true)]
        return [name, fc.integer({ min: 0, max: 256 ** (Number(type.slice(4)) / 8) - 1 })]
      }),
    ),
    unknown: fc.array(fc.record({ tag: fc.integer({ min: 0x1400, max: 0x3fff }), value: octets(20) }), {
      minLength: 1,
    }),
  },
  { requiredKeys: [] },
)

const anyHandset = { dest_addr_ton: octet, dest_addr_npi: octet, destination_addr: latin1(20) }
const anyDestinations = fc.array(
  fc.oneof(
    fc.record({ dest_flag: fc.constant(1), ...anyHandset }),
    fc.record({ dest_flag: fc.constant(2), dl_name: latin1(20) }),
  ),
  { minLength: 1, maxLength: 20 },
)
const anyRejected = fc.array(
  fc.record({ ...anyHandset, error_status_code: fc.integer({ min: 0, max: 0xffff_ffff }) }),
  {
    maxLength: 20,
  },
)

const anyPdu = fc.constantFrom(...(Object.keys(commands) as Command[])).chain((command) => {
  const fields = commands[command].body.map((field): [string, fc.Arbitrary<unknown>] => {
    if (field.type === 'uint8') return [field.name, octet]
    if (field.type === 'destinations') return [field.name, anyDestinations]
    if (field.type === 'rejected') return [field.name, anyRejected]
    return [field.name, field.type === 'cstring' ? latin1(field.max - 1) : octets(field.max - 1)]
  })
  return fc.record({
    command: fc.constant(command),
    command_status: commands[command].bare ? fc.constant(0) : fc.integer({ min: 0, max: 0xffff_ffff }),
    sequence_number: fc.integer({ min: 0, max: 0x7fff_ffff }),
    ...Object.fromEntries(fields),
    tlvs: commands[command].tlvs ? fc.option(anyTlvs, { nil: undefined }) : fc.constant(undefined),
  })
}) as unknown as fc.Arbitrary<Pdu>

test('random PDUs are unchanged after a round trip', () => {
  fc.assert(
    fc.property(anyPdu, (pdu) => {
      const decoded = decodePdu(encodePdu(pdu))
      if (pdu.tlvs && Object.keys(pdu.tlvs).length === 0) pdu.tlvs = undefined
      expect(decoded).toEqual(pdu)
    }),
    { numRuns: 2_000, seed: 34 },
  )
})

test('mutated PDUs are decoded or throw PduError', () => {
  let random = 0x5eed
  const next = (limit: number) => {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0
    return (random >>> 8) % limit
  }
  const seeds = golden.map(([, bytes]) => bytes)
  const outcomes = { read: 0, rejected: 0 }
  for (let i = 0; i < 20_000; i++) {
    const bytes = Buffer.from(seeds[next(seeds.length)] as Buffer)
    for (let flips = next(4); flips >= 0; flips--) bytes[next(bytes.length)] = next(256)
    const mutant = next(3) === 0 ? truncate(bytes, 16 + next(bytes.length - 15)) : bytes
    if (next(4) > 0) mutant.writeUInt32BE(mutant.length)
    try {
      const pdu = decodePdu(mutant)
      expect(pdu.sequence_number).toBe(mutant.readUInt32BE(12))
      outcomes.read++
    } catch (error) {
      expect(error).toBeInstanceOf(PduError)
      outcomes.rejected++
    }
  }
  expect(outcomes.read).toBeGreaterThan(1_000)
  expect(outcomes.rejected).toBeGreaterThan(1_000)
})
