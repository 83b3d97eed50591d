// Optional parameters (tag, length, value), SMPP 3.4 §5.3.2. Unknown TLVs, and TLVs that do not have the spec's format, are
// preserved byte for byte in `unknown`: a vendor's nonstandard TLV must never cause the loss of a receipt.

import { commandStatus } from './command-status.ts'
import { PduError } from './pdu-error.ts'

// [tag, type]; 'uint8', 'uint16' and 'uint32' have exactly that length; a flag has length 0.
export const tlvTable = {
  dest_addr_subunit: [0x0005, 'uint8'],
  dest_network_type: [0x0006, 'uint8'],
  dest_bearer_type: [0x0007, 'uint8'],
  dest_telematics_id: [0x0008, 'uint16'],
  source_addr_subunit: [0x000d, 'uint8'],
  source_network_type: [0x000e, 'uint8'],
  source_bearer_type: [0x000f, 'uint8'],
  source_telematics_id: [0x0010, 'uint8'],
  qos_time_to_live: [0x0017, 'uint32'],
  payload_type: [0x0019, 'uint8'],
  additional_status_info_text: [0x001d, 'cstring'],
  receipted_message_id: [0x001e, 'cstring'],
  ms_msg_wait_facilities: [0x0030, 'uint8'],
  privacy_indicator: [0x0201, 'uint8'],
  source_subaddress: [0x0202, 'octets'],
  dest_subaddress: [0x0203, 'octets'],
  user_message_reference: [0x0204, 'uint16'],
  user_response_code: [0x0205, 'uint8'],
  source_port: [0x020a, 'uint16'],
  destination_port: [0x020b, 'uint16'],
  sar_msg_ref_num: [0x020c, 'uint16'],
  language_indicator: [0x020d, 'uint8'],
  sar_total_segments: [0x020e, 'uint8'],
  sar_segment_seqnum: [0x020f, 'uint8'],
  sc_interface_version: [0x0210, 'uint8'],
  callback_num_pres_ind: [0x0302, 'uint8'],
  callback_num_atag: [0x0303, 'octets'],
  number_of_messages: [0x0304, 'uint8'],
  callback_num: [0x0381, 'octets'],
  dpf_result: [0x0420, 'uint8'],
  set_dpf: [0x0421, 'uint8'],
  ms_availability_status: [0x0422, 'uint8'],
  network_error_code: [0x0423, 'octets'],
  message_payload: [0x0424, 'octets'],
  delivery_failure_reason: [0x0425, 'uint8'],
  more_messages_to_send: [0x0426, 'uint8'],
  message_state: [0x0427, 'uint8'],
  ussd_service_op: [0x0501, 'uint8'],
  display_time: [0x1201, 'uint8'],
  sms_signal: [0x1203, 'uint16'],
  ms_validity: [0x1204, 'uint8'],
  alert_on_message_delivery: [0x130c, 'flag'],
  its_reply_type: [0x1380, 'uint8'],
  its_session_info: [0x1383, 'octets'],
} as const

type TlvTable = typeof tlvTable
export type TlvName = keyof TlvTable
type TlvType = TlvTable[TlvName][1]
type Value<T extends TlvType> = T extends `uint${string}`
  ? number
  : T extends 'cstring'
    ? string
    : T extends 'flag'
      ? true
      : Buffer

export type UnknownTlv = { tag: number; value: Buffer }
export type Tlvs = { [N in TlvName]?: Value<TlvTable[N][1]> } & { unknown?: UnknownTlv[] }

type Entry = { name: TlvName; tag: number; type: TlvType }
const byTag = new Map<number, Entry>()
const byName = new Map<string, Entry>()
for (const [name, [tag, type]] of Object.entries(tlvTable) as [TlvName, [number, TlvType]][]) {
  const entry = { name, tag, type }
  byTag.set(tag, entry)
  byName.set(name, entry)
}

const fixedLength: Record<string, number> = { flag: 0, uint8: 1, uint16: 2, uint32: 4 }

/** The optional parameters up to `end`; `error` is undefined if that is the end of the PDU. */
export type DecodedTlvs = { tlvs: Tlvs; end: number; error: PduError | undefined }

/**
 * Decodes the optional parameters from `at`, as far as they are whole. Of a truncated message_payload it keeps the octets
 * that arrived, because they may be a STOP; of other truncated parameters a part could be mistaken for the whole.
 */
export function decodeTlvs(bytes: Buffer, at: number, sequence_number: number): DecodedTlvs {
  const tlvs: Record<string, unknown> & { unknown?: UnknownTlv[] } = {}
  const end = bytes.length
  const stop = (status: number, message: string): DecodedTlvs => {
    return { tlvs: tlvs as Tlvs, end: at, error: new PduError(status, sequence_number, message) }
  }
  while (at < end) {
    if (end - at < 4) return stop(commandStatus.ESME_RINVOPTPARSTREAM, 'a TLV header is truncated')
    const tag = bytes.readUInt16BE(at)
    const length = bytes.readUInt16BE(at + 2)
    const from = at + 4
    if (length > end - from) {
      if (tag === tlvTable.message_payload[0] && end > from) tlvs.message_payload ??= bytes.subarray(from, end)
      return stop(commandStatus.ESME_RINVPARLEN, 'a TLV is truncated')
    }
    const entry = byTag.get(tag)
    const value = entry && tlvs[entry.name] === undefined ? decodeValue(entry.type, bytes, from, length) : undefined
    if (entry && value !== undefined) tlvs[entry.name] = value
    else {
      tlvs.unknown ??= []
      tlvs.unknown.push({ tag, value: bytes.subarray(from, from + length) })
    }
    at = from + length
  }
  return { tlvs: tlvs as Tlvs, end, error: undefined }
}

function decodeValue(type: TlvType, bytes: Buffer, at: number, length: number) {
  switch (type) {
    case 'uint8':
      return length === 1 ? bytes[at] : undefined
    case 'uint16':
      return length === 2 ? bytes.readUInt16BE(at) : undefined
    case 'uint32':
      return length === 4 ? bytes.readUInt32BE(at) : undefined
    case 'flag':
      return length === 0 ? true : undefined
    case 'octets':
      return bytes.subarray(at, at + length)
    case 'cstring': {
      // Several SMSCs omit the NUL of receipted_message_id: the length determines its end in both cases.
      let end = at
      while (end < at + length && bytes[end] !== 0) end++
      return bytes.toString('latin1', at, end)
    }
  }
}

/** Returns an upper bound of the encoded length. */
export function tlvsBound(tlvs: Tlvs): number {
  let bound = 0
  for (const name in tlvs) {
    if (name === 'unknown') for (const { value } of tlvs.unknown ?? []) bound += 4 + value.length
    else {
      const value = tlvs[name as TlvName]
      if (value !== undefined)
        bound += 4 + (typeof value === 'object' || typeof value === 'string' ? value.length + 1 : 4)
    }
  }
  return bound
}

/** Encodes the optional parameters at `at` and returns their end; throws PduError for a value that does not fit. */
export function encodeTlvs(target: Buffer, at: number, tlvs: Tlvs): number {
  for (const name in tlvs) {
    if (name === 'unknown') continue
    const value = tlvs[name as TlvName]
    if (value === undefined) continue
    const entry = byName.get(name)
    if (!entry) throw new PduError(commandStatus.ESME_ROPTPARNOTALLWD, 0, `unknown TLV name ${name}`)
    target.writeUInt16BE(entry.tag, at)
    const length = encodeValue(entry, target, at + 4, value)
    target.writeUInt16BE(length, at + 2)
    at += 4 + length
  }
  for (const { tag, value } of tlvs.unknown ?? []) {
    if (value.length > 0xffff)
      throw new PduError(commandStatus.ESME_RINVPARLEN, 0, 'a TLV is longer than 65,535 octets')
    target.writeUInt16BE(tag, at)
    target.writeUInt16BE(value.length, at + 2)
    value.copy(target, at + 4)
    at += 4 + value.length
  }
  return at
}

function encodeValue(
  { name, type }: Entry,
  target: Buffer,
  at: number,
  value: number | string | Buffer | true,
): number {
  const length = fixedLength[type]
  if (length !== undefined) {
    if (type === 'flag') return 0
    if (typeof value !== 'number' || !(value >= 0 && value < 256 ** length && Number.isInteger(value))) reject(name)
    target.writeUIntBE(value, at, length)
    return length
  }
  if (type === 'octets') {
    if (!Buffer.isBuffer(value) || value.length > 0xffff) reject(name)
    return value.copy(target, at)
  }
  if (typeof value !== 'string' || value.length > 0xfffe) reject(name)
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    if (code === 0 || code > 0xff) reject(name)
    target[at + i] = code
  }
  target[at + value.length] = 0
  return value.length + 1
}

function reject(name: string): never {
  throw new PduError(commandStatus.ESME_RINVOPTPARAMVAL, 0, `the value of TLV ${name} does not fit its type`)
}
