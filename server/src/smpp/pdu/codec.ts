// Encodes and decodes PDUs according to the table of commands. Encoding is exact. Decoding of requests is exact in
// structure, except of deliver_sm and data_sm: a rejected one may be a STOP that is lost. Those and responses, whose
// requests the peer has already acted on, are decoded as far as possible.

import { commandStatus } from './command-status.ts'
import { type Command, commands, type Field } from './commands.ts'
import {
  type Destination,
  decodeDestinations,
  decodeRejected,
  encodeDestinations,
  encodeRejected,
  ListError,
  type RejectedDestination,
} from './destinations.ts'
import { blankPdu, type Pdu } from './pdu.ts'
import { PduError } from './pdu-error.ts'
import { decodeTlvs, encodeTlvs, tlvsBound } from './tlvs.ts'

export const HEADER_LENGTH = 16

type AnyPdu = Record<string, unknown> & Pick<Pdu, 'command' | 'command_status' | 'sequence_number' | 'tlvs' | 'flaw'>

type Layout = {
  command: Command
  id: number
  fields: readonly Field[]
  tlvs: boolean
  bare: boolean
  response: boolean
  /** whether a malformed PDU is decoded as far as possible, with a description of its flaw */
  lenient: boolean
  /** maximum length of header and body */
  bound: number
  blank: AnyPdu
}

const layouts = {} as Record<Command, Layout>
const layoutsById = new Map<number, Layout>()
for (const command of Object.keys(commands) as Command[]) {
  const { id, body, tlvs, bare } = commands[command]
  const fields: readonly Field[] = body
  const bound = fields.reduce((sum, field) => sum + field.max, HEADER_LENGTH)
  const blank = blankPdu(command) as unknown as AnyPdu
  const lenient = command === 'deliver_sm' || command === 'data_sm'
  layouts[command] = { command, id, fields, tlvs, bare, response: id >= 0x8000_0000, lenient, bound, blank }
  layoutsById.set(id, layouts[command])
}

/**
 * Decodes one whole PDU. `short_message` and TLV values are views into `bytes`, not copies. Throws PduError with the
 * command_status of the response if the PDU does not match its header; of a deliver_sm or data_sm only if a field before
 * its text is missing, otherwise it returns what is readable, with a `flaw`.
 */
export function decodePdu(bytes: Buffer): Pdu {
  const end = bytes.length
  if (end < HEADER_LENGTH) throw new PduError(commandStatus.ESME_RINVCMDLEN, 0, 'shorter than a header')
  const sequence_number = bytes.readUInt32BE(12)
  if (bytes.readUInt32BE(0) !== end) {
    throw new PduError(commandStatus.ESME_RINVCMDLEN, sequence_number, 'command_length differs from the length')
  }
  const layout = layoutsById.get(bytes.readUInt32BE(4))
  if (!layout) throw new PduError(commandStatus.ESME_RINVCMDID, sequence_number, 'unsupported command_id')

  const pdu: AnyPdu = { ...layout.blank }
  pdu.command_status = bytes.readUInt32BE(8)
  pdu.sequence_number = sequence_number
  const at = decodeBody(pdu, layout, bytes)
  if (layout.tlvs && at < end) {
    const decoded = decodeTlvs(bytes, at, sequence_number)
    const { error } = decoded
    if (error && !layout.response && !layout.lenient) throw withCommand(error, layout)
    if (decoded.end > at || decoded.tlvs.message_payload) pdu.tlvs = decoded.tlvs
    else if (layout.lenient) appendToText(pdu, bytes.subarray(at))
    if (error && layout.lenient) pdu.flaw = error.message
  }
  return pdu as unknown as Pdu
}

/** Octets after the text that are no TLV but printable belong to the text: the SMSC's sm_length is too small. */
function appendToText(pdu: AnyPdu, surplus: Buffer) {
  if (!Buffer.isBuffer(pdu.short_message) || !surplus.every((octet) => octet >= 0x20 && octet < 0x7f)) return
  pdu.short_message = Buffer.concat([pdu.short_message, surplus])
}

function decodeBody(pdu: AnyPdu, layout: Layout, bytes: Buffer): number {
  const end = bytes.length
  let at = HEADER_LENGTH
  for (const field of layout.fields) {
    if (at >= end) {
      if (layout.response) return end
      const error = truncated(layout, pdu, field)
      if (!layout.lenient || field.type !== 'octets') throw error
      pdu.flaw = error.message
      return end
    }
    if (field.type === 'uint8') {
      pdu[field.name] = bytes[at++]
    } else if (field.type === 'cstring') {
      if (bytes[at] === 0) {
        at++
        continue
      }
      const from = at
      while (at < end && bytes[at] !== 0) at++
      if ((at === end || at - from >= field.max) && !layout.response) {
        const error = truncated(layout, pdu, field)
        if (!layout.lenient || at === end) throw error
        pdu.flaw = error.message
      }
      pdu[field.name] = bytes.toString('latin1', from, at++)
    } else if (field.type !== 'octets') {
      at = decodeList(pdu, layout, field, bytes, at)
    } else {
      let length = bytes[at++] as number
      if (length > end - at) {
        const error = truncated(layout, pdu, field)
        if (!layout.lenient) throw error
        pdu.flaw = error.message
        length = end - at
      }
      if (length > 0) pdu[field.name] = bytes.subarray(at, at + length)
      at += length
    }
  }
  return at
}

function decodeList(pdu: AnyPdu, layout: Layout, field: Field, bytes: Buffer, at: number): number {
  try {
    const { list, end } = field.type === 'rejected' ? decodeRejected(bytes, at) : decodeDestinations(bytes, at)
    pdu[field.name] = list
    return end
  } catch (error) {
    if (!(error instanceof ListError)) throw error
    throw truncated(layout, pdu, { ...field, status: error.command_status })
  }
}

function truncated(layout: Layout, pdu: AnyPdu, field: Field): PduError {
  return new PduError(
    field.status,
    pdu.sequence_number,
    `${layout.command}.${field.name} is truncated or too long`,
    layout.command,
  )
}

function withCommand(error: unknown, layout: Layout) {
  if (!(error instanceof PduError)) return error
  return new PduError(
    error.command_status,
    error.sequence_number,
    `${layout.command} has malformed TLVs`,
    layout.command,
  )
}

/** Encodes a PDU. Throws PduError if a value does not fit its field; values are never truncated. */
export function encodePdu(pdu: Pdu): Buffer {
  const target = Buffer.allocUnsafe(encodedBound(pdu))
  return target.subarray(0, encodePduInto(target, 0, pdu))
}

/** Maximum number of octets that encodePduInto() writes for this PDU. */
export function encodedBound(pdu: Pdu): number {
  const { bound } = layouts[pdu.command]
  return pdu.tlvs === undefined ? bound : bound + tlvsBound(pdu.tlvs)
}

/** Writes the PDU at `start` and returns its end. The target must have encodedBound(pdu) octets after `start`. */
export function encodePduInto(target: Buffer, start: number, pdu: Pdu): number {
  const layout = layouts[pdu.command]
  let at = start + HEADER_LENGTH
  if (!(layout.bare && pdu.command_status !== 0)) {
    const values = pdu as unknown as AnyPdu
    for (const field of layout.fields) {
      const value = values[field.name]
      if (field.type === 'uint8') {
        if (typeof value !== 'number' || value >>> 0 !== value || value > 0xff) reject(layout, pdu, field)
        target[at++] = value
      } else if (field.type === 'cstring') {
        if (typeof value !== 'string' || value.length >= field.max) reject(layout, pdu, field)
        for (let i = 0; i < value.length; i++) {
          const code = value.charCodeAt(i)
          // a NUL inside the value would shift every later field
          if (code === 0 || code > 0xff) reject(layout, pdu, field)
          target[at++] = code
        }
        target[at++] = 0
      } else if (field.type !== 'octets') {
        at = encodeList(target, at, layout, pdu, field, value)
      } else {
        if (!Buffer.isBuffer(value) || value.length >= field.max) reject(layout, pdu, field)
        target[at++] = value.length
        at += value.copy(target, at)
      }
    }
    if (layout.tlvs && pdu.tlvs !== undefined) at = encodeTlvs(target, at, pdu.tlvs)
  }
  writeUint32(target, start, at - start)
  writeUint32(target, start + 4, layout.id)
  writeUint32(target, start + 8, pdu.command_status)
  writeUint32(target, start + 12, pdu.sequence_number)
  return at
}

function encodeList(target: Buffer, at: number, layout: Layout, pdu: Pdu, field: Field, value: unknown): number {
  try {
    if (!Array.isArray(value)) throw new ListError(field.status)
    if (field.type === 'rejected') return encodeRejected(target, at, value as RejectedDestination[])
    return encodeDestinations(target, at, value as Destination[])
  } catch (error) {
    if (!(error instanceof ListError)) throw error
    return reject(layout, pdu, { ...field, status: error.command_status })
  }
}

function writeUint32(target: Buffer, at: number, value: number) {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

function reject(layout: Layout, pdu: Pdu, field: Field): never {
  throw new PduError(
    field.status,
    pdu.sequence_number,
    `${layout.command}.${field.name} does not fit its field`,
    layout.command,
  )
}
