import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Framer } from '../framer.ts'
import { decodePdu, encodePdu } from './codec.ts'
import { commandStatus } from './command-status.ts'
import { type Command, commands } from './commands.ts'
import { toHandset } from './destinations.ts'
import {
  alertNotification,
  bind,
  blankPdu,
  cancelSm,
  dataSm,
  deliverSm,
  enquireLink,
  genericNack,
  outbind,
  type Pdu,
  type PduOf,
  querySm,
  replaceSm,
  submitMulti,
  submitSm,
} from './pdu.ts'
import { PduError } from './pdu-error.ts'
import { tlvTable } from './tlvs.ts'

const hex = (...parts: string[]) => Buffer.from(parts.join('').replaceAll(' ', ''), 'hex')
const text = (value: string) => Buffer.from(value, 'latin1').toString('hex')

/** Header (§3.2) and body, with command_length filled in. */
function pduBytes(id: string, status: string, sequence: string, ...body: string[]): Buffer {
  const rest = hex(id, status, sequence, ...body)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(rest.length + 4)
  return Buffer.concat([length, rest])
}

const submitBody = [
  `${text('CMT')}00`, // service_type
  `01 01 ${text('12345')}00`, // source
  `01 01 ${text('12065550100')}00`, // destination
  '40 00 00', // esm_class, protocol_id, priority_flag
  '00 00', // schedule_delivery_time, validity_period
  '01 00 08 00', // registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id
  '04 00480069', // sm_length, short_message
]
const submit = submitSm({
  sequence_number: 7,
  service_type: 'CMT',
  source_addr_ton: 1,
  source_addr_npi: 1,
  source_addr: '12345',
  dest_addr_ton: 1,
  dest_addr_npi: 1,
  destination_addr: '12065550100',
  esm_class: 0x40,
  registered_delivery: 1,
  data_coding: 8,
  short_message: hex('00480069'),
})

const golden: [clause: string, bytes: Buffer, pdu: Pdu][] = [
  [
    '§3.2.2, the example of the spec itself: bind_transmitter',
    hex(
      '0000002F 00000002 00000000 00000001 53 4D 50 50 33 54 45 53 54 00 73 65 63 72 65 74 30 38 00',
      '53 55 42 4D 49 54 31 00 50 01 01 00',
    ),
    bind('bind_transmitter', {
      sequence_number: 1,
      system_id: 'SMPP3TEST',
      password: 'secret08',
      system_type: 'SUBMIT1',
      interface_version: 0x50,
      addr_ton: 1,
      addr_npi: 1,
    }),
  ],
  [
    '§4.1.6 bind_transceiver_resp with sc_interface_version (§5.3.2.25)',
    pduBytes('80000009', '00000000', '00000001', `${text('smsc')}00`, '0210 0001 34'),
    {
      ...blankPdu('bind_transceiver_resp'),
      sequence_number: 1,
      system_id: 'smsc',
      tlvs: { sc_interface_version: 0x34 },
    },
  ],
  [
    '§4.1.2 a refused bind has no body',
    pduBytes('80000009', '0000000E', '00000001'),
    { ...blankPdu('bind_transceiver_resp'), command_status: 0x0e, sequence_number: 1 },
  ],
  ['§4.2.1 unbind', pduBytes('00000006', '00000000', '0000000A'), { ...blankPdu('unbind'), sequence_number: 10 }],
  ['§4.3.1 generic_nack', pduBytes('80000000', '00000003', '00000005'), genericNack(0x03, 5)],
  ['§4.4.1 submit_sm', pduBytes('00000004', '00000000', '00000007', ...submitBody), submit],
  [
    '§4.4.1 submit_sm with user_message_reference (§5.3.2.17) and message_payload (§5.3.2.32)',
    pduBytes(
      '00000004',
      '00000000',
      '00000007',
      ...submitBody.slice(0, -1),
      '00',
      '0204 0002 BEEF',
      '0424 0003 616263',
    ),
    {
      ...submit,
      short_message: Buffer.alloc(0),
      tlvs: { user_message_reference: 0xbeef, message_payload: Buffer.from('abc') },
    },
  ],
  [
    '§4.4.2 submit_sm_resp',
    pduBytes('80000004', '00000000', '00000007', `${text('1a2b')}00`),
    { ...blankPdu('submit_sm_resp'), sequence_number: 7, message_id: '1a2b' },
  ],
  [
    '§4.4.2 a refused submit_sm_resp has no body',
    pduBytes('80000004', '00000058', '00000007'),
    { ...blankPdu('submit_sm_resp'), command_status: commandStatus.ESME_RTHROTTLED, sequence_number: 7 },
  ],
  [
    '§4.6.1 deliver_sm, a receipt with its TLVs (§5.3.2.12, §5.3.2.31, §5.3.2.35) and a vendor one',
    pduBytes(
      '00000005',
      '00000000',
      '7FFFFFFF',
      '00 01 01',
      `${text('12065550100')}00 00 00 ${text('12345')}00`,
      '04 00 00 00 00 00 00 00 00 00',
      `001E 0005 ${text('1a2b')}00`,
      '0423 0003 030000',
      '0427 0001 02',
      '1400 0002 CAFE',
    ),
    deliverSm({
      sequence_number: 0x7fffffff,
      source_addr_ton: 1,
      source_addr_npi: 1,
      source_addr: '12065550100',
      destination_addr: '12345',
      esm_class: 4,
      short_message: Buffer.alloc(0),
      tlvs: {
        receipted_message_id: '1a2b',
        network_error_code: hex('030000'),
        message_state: 2,
        unknown: [{ tag: 0x1400, value: hex('CAFE') }],
      },
    }),
  ],
  [
    '§4.6.2 deliver_sm_resp: message_id is unused and NULL',
    pduBytes('80000005', '00000000', '00000002', '00'),
    { ...blankPdu('deliver_sm_resp'), sequence_number: 2 },
  ],
  [
    '§4.7.1 data_sm',
    pduBytes(
      '00000103',
      '00000000',
      '00000003',
      `00 00 00 ${text('12345')}00 01 01 ${text('12065550100')}00 00 01 00`,
      '0424 0002 6869',
    ),
    dataSm({
      sequence_number: 3,
      source_addr: '12345',
      dest_addr_ton: 1,
      dest_addr_npi: 1,
      destination_addr: '12065550100',
      registered_delivery: 1,
      tlvs: { message_payload: Buffer.from('hi') },
    }),
  ],
  [
    '§4.8.1 query_sm',
    pduBytes('00000003', '00000000', '00000004', `${text('1a2b')}00 01 01 ${text('12345')}00`),
    querySm({ sequence_number: 4, message_id: '1a2b', source_addr_ton: 1, source_addr_npi: 1, source_addr: '12345' }),
  ],
  [
    '§4.8.2 query_sm_resp',
    pduBytes('80000003', '00000000', '00000004', `${text('1a2b')}00 ${text('260101000000000+')}00 02 00`),
    {
      ...blankPdu('query_sm_resp'),
      sequence_number: 4,
      message_id: '1a2b',
      final_date: '260101000000000+',
      message_state: 2,
    },
  ],
  [
    '§4.9.1 cancel_sm',
    pduBytes('00000008', '00000000', '00000006', `00 ${text('1a2b')}00 00 00 ${text('12345')}00 00 00 00`),
    cancelSm({ sequence_number: 6, message_id: '1a2b', source_addr: '12345' }),
  ],
  [
    '§4.9.2 cancel_sm_resp',
    pduBytes('80000008', '00000000', '00000006'),
    { ...blankPdu('cancel_sm_resp'), sequence_number: 6 },
  ],
  [
    '§4.1.7.1 outbind',
    pduBytes('0000000B', '00000000', '00000001', `${text('smsc')}00 ${text('secret')}00`),
    outbind({ sequence_number: 1, system_id: 'smsc', password: 'secret' }),
  ],
  [
    '§4.5.1 submit_multi to two handsets and a distribution list',
    pduBytes(
      '00000021',
      '00000000',
      '0000000B',
      `00 00 01 ${text('12345')}00`,
      `03 01 01 01 ${text('12065550100')}00 02 ${text('friends')}00 01 00 00 ${text('911')}00`,
      '00 00 00 00 00 01 00 00 00',
      '02 6869',
      '0204 0002 0007',
    ),
    submitMulti({
      sequence_number: 11,
      source_addr_npi: 1,
      source_addr: '12345',
      dest_address: [toHandset('12065550100', 1, 1), { dest_flag: 2, dl_name: 'friends' }, toHandset('911')],
      registered_delivery: 1,
      short_message: Buffer.from('hi'),
      tlvs: { user_message_reference: 7 },
    }),
  ],
  [
    '§4.5.2 submit_multi_resp with one destination that was not taken',
    pduBytes('80000021', '00000000', '0000000B', `${text('1a2b')}00 01 01 01 ${text('12065550100')}00 0000000B`),
    {
      ...blankPdu('submit_multi_resp'),
      sequence_number: 11,
      message_id: '1a2b',
      unsuccess_sme: [
        {
          dest_addr_ton: 1,
          dest_addr_npi: 1,
          destination_addr: '12065550100',
          error_status_code: commandStatus.ESME_RINVDSTADR,
        },
      ],
    },
  ],
  [
    '§4.5.2 submit_multi_resp when all were taken',
    pduBytes('80000021', '00000000', '0000000B', `${text('1a2b')}00 00`),
    { ...blankPdu('submit_multi_resp'), sequence_number: 11, message_id: '1a2b' },
  ],
  [
    '§4.10.1 replace_sm',
    pduBytes(
      '00000007',
      '00000000',
      '0000000C',
      `${text('1a2b')}00 01 01 ${text('12345')}00 00 ${text('000000010000000R')}00 01 00 02 6869`,
    ),
    replaceSm({
      sequence_number: 12,
      message_id: '1a2b',
      source_addr_ton: 1,
      source_addr_npi: 1,
      source_addr: '12345',
      validity_period: '000000010000000R',
      registered_delivery: 1,
      short_message: Buffer.from('hi'),
    }),
  ],
  [
    '§4.10.2 replace_sm_resp',
    pduBytes('80000007', '00000013', '0000000C'),
    { ...blankPdu('replace_sm_resp'), command_status: commandStatus.ESME_RREPLACEFAIL, sequence_number: 12 },
  ],
  [
    '§4.12.1 alert_notification with ms_availability_status (§5.3.2.30)',
    pduBytes(
      '00000102',
      '00000000',
      '0000000D',
      `01 01 ${text('12065550100')}00 00 00 ${text('12345')}00 0422 0001 00`,
    ),
    alertNotification({
      sequence_number: 13,
      source_addr_ton: 1,
      source_addr_npi: 1,
      source_addr: '12065550100',
      esme_addr: '12345',
      tlvs: { ms_availability_status: 0 },
    }),
  ],
  ['§4.11.1 enquire_link', pduBytes('00000015', '00000000', '00000009'), { ...enquireLink(), sequence_number: 9 }],
]

describe('golden bytes', () => {
  test.each(golden)('%s', (_clause, bytes, pdu) => {
    expect(encodePdu(pdu).toString('hex')).toBe(bytes.toString('hex'))
    expect(decodePdu(bytes)).toEqual(pdu)
  })
})

test('all of them in one stream, cut at every octet, come out whole', () => {
  const stream = Buffer.concat(golden.map(([, bytes]) => bytes))
  const pdus = golden.map(([, , pdu]) => pdu)
  for (let cutAt = 0; cutAt <= stream.length; cutAt++) {
    const framer = new Framer()
    const frames = [...framer.push(stream.subarray(0, cutAt)), ...framer.push(stream.subarray(cutAt))]
    expect(frames.map(decodePdu)).toEqual(pdus)
  }
})

test('each command of the table has bytes built by hand', () => {
  const binds = ['bind_receiver', 'bind_receiver_resp', 'bind_transmitter_resp', 'bind_transceiver']
  const alike = [...binds, 'unbind_resp', 'enquire_link_resp', 'data_sm_resp']
  const built = new Set(golden.map(([, , pdu]) => pdu.command))
  expect(Object.keys(commands).filter((command) => !built.has(command as Command))).toEqual(
    Object.keys(commands).filter((command) => alike.includes(command)),
  )
})

function refusal(bytes: Buffer): { command_status: number; sequence_number: number } {
  try {
    decodePdu(bytes)
  } catch (error) {
    if (error instanceof PduError) return error
    throw error
  }
  throw new Error('was not refused')
}

const cut = (bytes: Buffer, length: number) => {
  const shorter = Buffer.from(bytes.subarray(0, length))
  shorter.writeUInt32BE(length)
  return shorter
}

describe('what is refused when read', () => {
  const bytes = pduBytes('00000004', '00000000', '00000007', ...submitBody)

  test('a header cut short, and a command_length that is not the length', () => {
    expect(refusal(bytes.subarray(0, 15))).toMatchObject({ command_status: 0x02, sequence_number: 0 })
    expect(refusal(bytes.subarray(0, 40))).toMatchObject({ command_status: 0x02, sequence_number: 7 })
  })

  test('a command that we do not speak', () => {
    expect(refusal(pduBytes('00000099', '00000000', '00000007'))).toMatchObject({
      command_status: 0x03,
      sequence_number: 7,
    })
  })

  test('a request cut off anywhere', () => {
    for (let length = 16; length < bytes.length; length++) {
      expect(refusal(cut(bytes, length))).toMatchObject({ sequence_number: 7, command: 'submit_sm' })
    }
  })

  test('an address that is too long, with the status of its own field', () => {
    const long = pduBytes(
      '00000004',
      '00000000',
      '00000007',
      '00 0101',
      `${text('1'.repeat(21))}00`,
      ...submitBody.slice(2),
    )
    expect(refusal(long)).toMatchObject({ command_status: commandStatus.ESME_RINVSRCADR })
  })

  test.each([
    ['none at all', '00', commandStatus.ESME_RINVNUMDESTS],
    ['fewer than it says', `02 01 01 01 ${text('911')}00`, commandStatus.ESME_RINVDESTFLAG],
    ['a flag of no kind', `01 03 01 01 ${text('911')}00`, commandStatus.ESME_RINVDESTFLAG],
    ['an address that is too long', `01 01 01 01 ${text('9'.repeat(21))}00`, commandStatus.ESME_RINVDSTADR],
    ['a list name that is too long', `01 02 ${text('x'.repeat(21))}00`, commandStatus.ESME_RINVDLNAME],
  ])('destinations: %s', (_what, destinations, command_status) => {
    const bytes = pduBytes('00000021', '00000000', '00000007', '00 00 00 00', destinations, '00'.repeat(10))
    expect(refusal(bytes)).toMatchObject({ command_status, command: 'submit_multi', sequence_number: 7 })
  })

  test('an sm_length beyond the end', () => {
    const body = [...submitBody.slice(0, -1), '05 00480069']
    expect(refusal(pduBytes('00000004', '00000000', '00000007', ...body))).toMatchObject({
      command_status: commandStatus.ESME_RINVMSGLEN,
    })
  })

  test('TLVs that do not add up', () => {
    const stray = pduBytes('00000004', '00000000', '00000007', ...submitBody, '0204 00')
    expect(refusal(stray)).toMatchObject({ command_status: commandStatus.ESME_RINVOPTPARSTREAM, command: 'submit_sm' })
    const long = pduBytes('00000004', '00000000', '00000007', ...submitBody, '0204 0003 BEEF')
    expect(refusal(long)).toMatchObject({ command_status: commandStatus.ESME_RINVPARLEN, command: 'submit_sm' })
  })
})

describe('what is forgiven when read', () => {
  test('a response without its body, or with one that is cut off: what it answers has happened', () => {
    expect(decodePdu(pduBytes('80000004', '00000000', '00000007'))).toMatchObject({ message_id: '' })
    expect(decodePdu(pduBytes('80000004', '00000000', '00000007', text('1a2b')))).toMatchObject({ message_id: '1a2b' })
    const odd = pduBytes('80000004', '00000000', '00000007', `${text('1a2b')}00`, '0204 0009')
    expect(decodePdu(odd)).toMatchObject({ message_id: '1a2b' })
  })

  test('refused destinations that are cut off: those before the cut are kept', () => {
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

  test('a known TLV of an odd length, or given twice, is kept as it came', () => {
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

describe('what is refused when written', () => {
  const refused: [string, Partial<PduOf<'submit_sm'>>, number][] = [
    ['a NUL inside a string', { destination_addr: '1206\x005550100' }, commandStatus.ESME_RINVDSTADR],
    ['a character beyond one octet', { source_addr: 'Ω' }, commandStatus.ESME_RINVSRCADR],
    ['21 characters of address', { destination_addr: '1'.repeat(21) }, commandStatus.ESME_RINVDSTADR],
    ['255 octets of text', { short_message: Buffer.alloc(255) }, commandStatus.ESME_RINVMSGLEN],
    ['256 in an octet', { data_coding: 256 }, commandStatus.ESME_RSYSERR],
    ['a fraction in an octet', { data_coding: 1.5 }, commandStatus.ESME_RSYSERR],
    ['65,536 in two octets', { tlvs: { user_message_reference: 65536 } }, commandStatus.ESME_RINVOPTPARAMVAL],
    [
      '64 KB of payload and one more',
      { tlvs: { message_payload: Buffer.alloc(65536) } },
      commandStatus.ESME_RINVOPTPARAMVAL,
    ],
    ['a NUL inside a TLV', { tlvs: { receipted_message_id: 'a\0b' } }, commandStatus.ESME_RINVOPTPARAMVAL],
  ]
  test.each(refused)('%s', (_what, fields, command_status) => {
    expect(() => encodePdu({ ...submit, ...fields })).toThrow(expect.objectContaining({ command_status }))
  })

  test.each([
    ['no destination', [], commandStatus.ESME_RINVNUMDESTS],
    ['255 of them', Array.from({ length: 255 }, () => toHandset('911')), commandStatus.ESME_RINVNUMDESTS],
    ['an address of 21', [toHandset('9'.repeat(21))], commandStatus.ESME_RINVDSTADR],
    ['an address with a NUL', [toHandset('9\x001')], commandStatus.ESME_RINVDSTADR],
    ['a type of number beyond an octet', [toHandset('911', 256)], commandStatus.ESME_RINVDSTTON],
  ])('submit_multi: %s', (_what, dest_address, command_status) => {
    const pdu = submitMulti({ dest_address, short_message: Buffer.from('hi') })
    expect(() => encodePdu(pdu)).toThrow(expect.objectContaining({ command_status, command: 'submit_multi' }))
  })

  test('the longest list of destinations fits, and so does that of refused ones', () => {
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

  test('the longest of everything fits', () => {
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
const anyRefused = fc.array(fc.record({ ...anyHandset, error_status_code: fc.integer({ min: 0, max: 0xffff_ffff }) }), {
  maxLength: 20,
})

const anyPdu = fc.constantFrom(...(Object.keys(commands) as Command[])).chain((command) => {
  const fields = commands[command].body.map((field): [string, fc.Arbitrary<unknown>] => {
    if (field.type === 'uint8') return [field.name, octet]
    if (field.type === 'destinations') return [field.name, anyDestinations]
    if (field.type === 'rejected') return [field.name, anyRefused]
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

test('every PDU comes back as it went', () => {
  fc.assert(
    fc.property(anyPdu, (pdu) => {
      const back = decodePdu(encodePdu(pdu))
      if (pdu.tlvs && Object.keys(pdu.tlvs).length === 0) pdu.tlvs = undefined
      expect(back).toEqual(pdu)
    }),
    { numRuns: 2_000, seed: 34 },
  )
})

test('mutated PDUs are read or refused, and nothing else happens', () => {
  let random = 0x5eed
  const next = (below: number) => {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0
    return (random >>> 8) % below
  }
  const seeds = golden.map(([, bytes]) => bytes)
  const outcomes = { read: 0, refused: 0 }
  const until = performance.now() + 1_500
  for (let i = 0; i < 200_000 && performance.now() < until; i++) {
    const bytes = Buffer.from(seeds[next(seeds.length)] as Buffer)
    for (let flips = next(4); flips >= 0; flips--) bytes[next(bytes.length)] = next(256)
    const mutant = next(3) === 0 ? cut(bytes, 16 + next(bytes.length - 15)) : bytes
    if (next(4) > 0) mutant.writeUInt32BE(mutant.length)
    try {
      const pdu = decodePdu(mutant)
      expect(pdu.sequence_number).toBe(mutant.readUInt32BE(12))
      outcomes.read++
    } catch (error) {
      expect(error).toBeInstanceOf(PduError)
      outcomes.refused++
    }
  }
  expect(outcomes.read).toBeGreaterThan(1_000)
  expect(outcomes.refused).toBeGreaterThan(1_000)
})
