// Bytes to PDU and back, by walking the table of commands. What we write is exact. What we read is exact in structure;
// a response is read as far as it goes, because what it answers has already happened at the other side.

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

type AnyPdu = Record<string, unknown> & Pick<Pdu, 'command' | 'command_status' | 'sequence_number' | 'tlvs'>

type Plan = {
  command: Command
  id: number
  fields: readonly Field[]
  tlvs: boolean
  bare: boolean
  response: boolean
  /** the most that header and body can take */
  bound: number
  blank: AnyPdu
}

const plans = {} as Record<Command, Plan>
const plansById = new Map<number, Plan>()
for (const command of Object.keys(commands) as Command[]) {
  const { id, body, tlvs, bare } = commands[command]
  const fields: readonly Field[] = body
  const bound = fields.reduce((sum, field) => sum + field.max, HEADER_LENGTH)
  const blank = blankPdu(command) as unknown as AnyPdu
  plans[command] = { command, id, fields, tlvs, bare, response: id >= 0x8000_0000, bound, blank }
  plansById.set(id, plans[command])
}

/**
 * Reads one whole PDU. `short_message` and TLV values are views into `bytes`, not copies. Throws PduError with the
 * command_status to answer with when the PDU is not what its header says.
 */
export function decodePdu(bytes: Buffer): Pdu {
  const end = bytes.length
  if (end < HEADER_LENGTH) throw new PduError(commandStatus.ESME_RINVCMDLEN, 0, 'shorter than a header')
  const sequence_number = bytes.readUInt32BE(12)
  if (bytes.readUInt32BE(0) !== end) {
    throw new PduError(commandStatus.ESME_RINVCMDLEN, sequence_number, 'command_length is not the length')
  }
  const plan = plansById.get(bytes.readUInt32BE(4))
  if (!plan) throw new PduError(commandStatus.ESME_RINVCMDID, sequence_number, 'a command we do not speak')

  const pdu: AnyPdu = { ...plan.blank }
  pdu.command_status = bytes.readUInt32BE(8)
  pdu.sequence_number = sequence_number
  const at = decodeBody(pdu, plan, bytes)
  if (plan.tlvs && at < end) {
    try {
      pdu.tlvs = decodeTlvs(bytes, at, sequence_number)
    } catch (error) {
      if (!plan.response) throw named(error, plan)
    }
  }
  return pdu as unknown as Pdu
}

function decodeBody(pdu: AnyPdu, plan: Plan, bytes: Buffer): number {
  const end = bytes.length
  let at = HEADER_LENGTH
  for (const field of plan.fields) {
    if (at >= end) {
      if (plan.response) return end
      throw cutOff(plan, pdu, field)
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
      if ((at === end || at - from >= field.max) && !plan.response) throw cutOff(plan, pdu, field)
      pdu[field.name] = bytes.toString('latin1', from, at++)
    } else if (field.type !== 'octets') {
      at = decodeList(pdu, plan, field, bytes, at)
    } else {
      const length = bytes[at++] as number
      if (length > end - at) throw cutOff(plan, pdu, field)
      if (length > 0) pdu[field.name] = bytes.subarray(at, at + length)
      at += length
    }
  }
  return at
}

function decodeList(pdu: AnyPdu, plan: Plan, field: Field, bytes: Buffer, at: number): number {
  try {
    const { list, end } = field.type === 'rejected' ? decodeRejected(bytes, at) : decodeDestinations(bytes, at)
    pdu[field.name] = list
    return end
  } catch (error) {
    if (!(error instanceof ListError)) throw error
    throw cutOff(plan, pdu, { ...field, status: error.command_status })
  }
}

function cutOff(plan: Plan, pdu: AnyPdu, field: Field): PduError {
  return new PduError(field.status, pdu.sequence_number, `${plan.command}.${field.name} does not fit`, plan.command)
}

function named(error: unknown, plan: Plan) {
  if (!(error instanceof PduError)) return error
  return new PduError(error.command_status, error.sequence_number, `${plan.command}: bad TLVs`, plan.command)
}

/** The PDU's bytes. Throws PduError when a value does not fit its field; nothing is ever cut to fit. */
export function encodePdu(pdu: Pdu): Buffer {
  const target = Buffer.allocUnsafe(encodedBound(pdu))
  return target.subarray(0, encodePduInto(target, 0, pdu))
}

/** How much room encodePduInto() may need for this PDU. */
export function encodedBound(pdu: Pdu): number {
  const { bound } = plans[pdu.command]
  return pdu.tlvs === undefined ? bound : bound + tlvsBound(pdu.tlvs)
}

/** Writes the PDU at `start` and says where it ends. The target must have encodedBound(pdu) octets left. */
export function encodePduInto(target: Buffer, start: number, pdu: Pdu): number {
  const plan = plans[pdu.command]
  let at = start + HEADER_LENGTH
  if (!(plan.bare && pdu.command_status !== 0)) {
    const values = pdu as unknown as AnyPdu
    for (const field of plan.fields) {
      const value = values[field.name]
      if (field.type === 'uint8') {
        if (typeof value !== 'number' || value >>> 0 !== value || value > 0xff) refuse(plan, pdu, field)
        target[at++] = value
      } else if (field.type === 'cstring') {
        if (typeof value !== 'string' || value.length >= field.max) refuse(plan, pdu, field)
        for (let i = 0; i < value.length; i++) {
          const code = value.charCodeAt(i)
          // A NUL inside would move every field behind it.
          if (code === 0 || code > 0xff) refuse(plan, pdu, field)
          target[at++] = code
        }
        target[at++] = 0
      } else if (field.type !== 'octets') {
        at = encodeList(target, at, plan, pdu, field, value)
      } else {
        if (!Buffer.isBuffer(value) || value.length >= field.max) refuse(plan, pdu, field)
        target[at++] = value.length
        at += value.copy(target, at)
      }
    }
    if (plan.tlvs && pdu.tlvs !== undefined) at = encodeTlvs(target, at, pdu.tlvs)
  }
  writeUint32(target, start, at - start)
  writeUint32(target, start + 4, plan.id)
  writeUint32(target, start + 8, pdu.command_status)
  writeUint32(target, start + 12, pdu.sequence_number)
  return at
}

function encodeList(target: Buffer, at: number, plan: Plan, pdu: Pdu, field: Field, value: unknown): number {
  try {
    if (!Array.isArray(value)) throw new ListError(field.status)
    if (field.type === 'rejected') return encodeRejected(target, at, value as RejectedDestination[])
    return encodeDestinations(target, at, value as Destination[])
  } catch (error) {
    if (!(error instanceof ListError)) throw error
    return refuse(plan, pdu, { ...field, status: error.command_status })
  }
}

function writeUint32(target: Buffer, at: number, value: number) {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

function refuse(plan: Plan, pdu: Pdu, field: Field): never {
  throw new PduError(
    field.status,
    pdu.sequence_number,
    `${plan.command}.${field.name} does not fit its field`,
    plan.command,
  )
}
