// Golden PDUs: bytes built by hand from the specification, each with the PDU that they encode.

import { commandStatus } from '../src/smpp/pdu/command-status.ts'
import { toHandset } from '../src/smpp/pdu/destinations.ts'
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
  querySm,
  replaceSm,
  submitMulti,
  submitSm,
} from '../src/smpp/pdu/pdu.ts'

export const hex = (...parts: string[]) => Buffer.from(parts.join('').replaceAll(' ', ''), 'hex')
export const text = (value: string) => Buffer.from(value, 'latin1').toString('hex')

/** Header (§3.2) and body, with command_length filled in. */
export function pduBytes(id: string, status: string, sequence: string, ...body: string[]): Buffer {
  const rest = hex(id, status, sequence, ...body)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(rest.length + 4)
  return Buffer.concat([length, rest])
}

export const submitBody = [
  `${text('CMT')}00`, // service_type
  `01 01 ${text('12345')}00`, // source
  `01 01 ${text('12065550100')}00`, // destination
  '40 00 00', // esm_class, protocol_id, priority_flag
  '00 00', // schedule_delivery_time, validity_period
  '01 00 08 00', // registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id
  '04 00480069', // sm_length, short_message
]
export const submit = submitSm({
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

export const golden: [clause: string, bytes: Buffer, pdu: Pdu][] = [
  [
    "§3.2.2, the specification's example: bind_transmitter",
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
    '§4.1.2 the response to a rejected bind has no body',
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
    '§4.4.2 a submit_sm_resp with an error status has no body',
    pduBytes('80000004', '00000058', '00000007'),
    { ...blankPdu('submit_sm_resp'), command_status: commandStatus.ESME_RTHROTTLED, sequence_number: 7 },
  ],
  [
    '§4.6.1 deliver_sm, a receipt with its TLVs (§5.3.2.12, §5.3.2.31, §5.3.2.35) and a vendor-specific TLV',
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
    '§4.5.2 submit_multi_resp with one rejected destination',
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
    '§4.5.2 submit_multi_resp without rejected destinations',
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
