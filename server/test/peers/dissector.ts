// Checks with Wireshark's dissector that the bytes of our PDUs are correct: one PDU of each kind that we send.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodePdu } from '../../src/smpp/pdu/codec.ts'
import { toHandset } from '../../src/smpp/pdu/destinations.ts'
import {
  alertNotification,
  bind,
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
  unbind,
} from '../../src/smpp/pdu/pdu.ts'
import { type Checks, expectFields } from './checks.ts'

const CAPTURE = 'pdus.pcap'

const addresses = { source_addr: '12345', dest_addr_ton: 1, dest_addr_npi: 1, destination_addr: '12125550142' }
const short_message = Buffer.from('Hello')
const message = { message_id: '1a2b', source_addr: '12345' }

// Each PDU with the expected Wireshark fields, by their filter names.
const pdus: [pdu: Pdu, fields: Record<string, string>][] = [
  [
    bind('bind_transceiver', { system_id: 'carillon', password: 'chimes', sequence_number: 1 }),
    { 'smpp.command_id': '0x00000009', 'smpp.system_id': 'carillon', 'smpp.password': 'chimes' },
  ],
  [
    submitSm({
      ...addresses,
      sequence_number: 2,
      validity_period: '000000020000000R',
      registered_delivery: 1,
      short_message,
      tlvs: { user_message_reference: 4711, sar_msg_ref_num: 7, sar_total_segments: 2, sar_segment_seqnum: 1 },
    }),
    {
      'smpp.command_id': '0x00000004',
      'smpp.source_addr': '12345',
      'smpp.destination_addr': '12125550142',
      'smpp.sm_length': '5',
      'smpp.user_message_reference': '0x1267',
      'smpp.sar_total_segments': '2',
    },
  ],
  [
    submitMulti({
      source_addr: '12345',
      dest_address: [toHandset('12125550142', 1, 1), { dest_flag: 2, dl_name: 'friends' }],
      short_message,
      sequence_number: 3,
    }),
    { 'smpp.command_id': '0x00000021', 'smpp.dl_name': 'friends', 'smpp.sm_length': '5' },
  ],
  [
    dataSm({ ...addresses, sequence_number: 4, tlvs: { message_payload: short_message } }),
    { 'smpp.command_id': '0x00000103', 'smpp.destination_addr': '12125550142' },
  ],
  [
    deliverSm({
      source_addr: '12125550142',
      destination_addr: '12345',
      esm_class: 4,
      short_message,
      sequence_number: 5,
      tlvs: { receipted_message_id: '1a2b', message_state: 2, network_error_code: Buffer.from([3, 0, 1]) },
    }),
    { 'smpp.command_id': '0x00000005', 'smpp.receipted_message_id': '1a2b', 'smpp.message_state': '2' },
  ],
  [querySm({ ...message, sequence_number: 6 }), { 'smpp.command_id': '0x00000003', 'smpp.message_id': '1a2b' }],
  [
    cancelSm({ ...message, destination_addr: '12125550142', sequence_number: 7 }),
    { 'smpp.command_id': '0x00000008', 'smpp.destination_addr': '12125550142' },
  ],
  [
    replaceSm({ ...message, short_message, registered_delivery: 1, sequence_number: 8 }),
    { 'smpp.command_id': '0x00000007', 'smpp.message_id': '1a2b', 'smpp.sm_length': '5' },
  ],
  [
    alertNotification({
      source_addr: '12125550142',
      esme_addr: '12345',
      sequence_number: 9,
      tlvs: { ms_availability_status: 0 },
    }),
    { 'smpp.command_id': '0x00000102', 'smpp.source_addr': '12125550142', 'smpp.esme_addr': '12345' },
  ],
  [outbind({ system_id: 'smsc', password: 'x', sequence_number: 10 }), { 'smpp.command_id': '0x0000000b' }],
  [{ ...enquireLink(), sequence_number: 11 }, { 'smpp.command_id': '0x00000015' }],
  [{ ...unbind(), sequence_number: 12 }, { 'smpp.command_id': '0x00000006' }],
  [genericNack(3, 13), { 'smpp.command_id': '0x80000000', 'smpp.command_status': '0x00000003' }],
]

/** Checks each PDU as a separate packet. */
export async function checkDissector(checks: Checks): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'carillon-peers-'))
  try {
    const dump = pdus.map(([pdu]) => hexDump(encodePdu(pdu))).join('\n')
    writeFileSync(join(folder, 'pdus.txt'), dump)
    execFileSync('text2pcap', ['-q', '-T', '40000,2775', join(folder, 'pdus.txt'), join(folder, CAPTURE)], {
      stdio: 'ignore',
    })
    for (const [index, [pdu, expected]] of pdus.entries()) {
      await checks.check(`Wireshark reads the fields of our ${pdu.command}`, () => {
        const names = ['_ws.malformed', '_ws.col.Protocol', 'smpp.command_length', 'smpp.sequence_number']
        const actual = readFields(folder, index + 1, [...names, ...Object.keys(expected)])
        expectFields(actual, {
          '_ws.malformed': '',
          '_ws.col.Protocol': 'SMPP',
          'smpp.command_length': String(encodePdu(pdu).length),
          'smpp.sequence_number': String(pdu.sequence_number),
          ...expected,
        })
      })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Reads fields of one packet, with an empty HOME so that the user's Wireshark preferences have no effect. */
function readFields(folder: string, frame: number, names: string[]): Record<string, string> {
  const args = [
    '-r',
    join(folder, CAPTURE),
    '-d',
    'tcp.port==2775,smpp',
    '-Y',
    `frame.number==${frame}`,
    '-T',
    'fields',
  ]
  const options = names.flatMap((name) => ['-e', name])
  const line = execFileSync('tshark', [...args, '-E', 'occurrence=f', ...options], {
    encoding: 'utf8',
    env: { ...process.env, HOME: folder },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const values = line.replace(/\n$/, '').split('\t')
  return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']))
}

/** Returns the offsets and octets of one packet in the format of text2pcap. */
function hexDump(bytes: Buffer): string {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += 16) {
    const octets =
      bytes
        .subarray(at, at + 16)
        .toString('hex')
        .match(/../g) ?? []
    lines.push(`${at.toString(16).padStart(6, '0')} ${octets.join(' ')}`)
  }
  return `${lines.join('\n')}\n`
}
