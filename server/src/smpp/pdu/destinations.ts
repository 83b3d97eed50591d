// The two lists of submit_multi: whom it is for (§4.5.1.1), and which of them the SMSC did not take (§4.5.2.1).

import { commandStatus } from './command-status.ts'

/** A handset (dest_flag 1) or a distribution list that the SMSC keeps (2). */
export type Destination =
  | { dest_flag: 1; dest_addr_ton: number; dest_addr_npi: number; destination_addr: string }
  | { dest_flag: 2; dl_name: string }

export type RejectedDestination = {
  dest_addr_ton: number
  dest_addr_npi: number
  destination_addr: string
  error_status_code: number
}

/** A handset as a destination; type of number and numbering plan are unknown unless given. */
export const toHandset = (destination_addr: string, dest_addr_ton = 0, dest_addr_npi = 0): Destination => ({
  dest_flag: 1,
  dest_addr_ton,
  dest_addr_npi,
  destination_addr,
})

const MOST = 254
/** With its NUL. */
const ADDRESS_LENGTH = 21

/** A list that does not fit; `command_status` says what of it. */
export class ListError extends Error {
  override name = 'ListError'
  readonly command_status: number

  constructor(command_status: number) {
    super('the list does not fit')
    this.command_status = command_status
  }
}

/** Reads the count at `at` and the destinations behind it, and says where they end; throws ListError. */
export function decodeDestinations(bytes: Buffer, at: number): { list: Destination[]; end: number } {
  const reader = new Reader(bytes, at)
  const count = reader.uint8()
  if (count === 0) throw new ListError(commandStatus.ESME_RINVNUMDESTS)
  const list: Destination[] = []
  while (list.length < count) {
    const dest_flag = reader.uint8()
    if (dest_flag === 1) list.push({ dest_flag, ...reader.handset() })
    else if (dest_flag === 2) list.push({ dest_flag, dl_name: reader.cstring(commandStatus.ESME_RINVDLNAME) })
    else throw new ListError(commandStatus.ESME_RINVDESTFLAG)
  }
  return { list, end: reader.at }
}

/** Reads as many as are whole: what the response says of the others has happened all the same. */
export function decodeRejected(bytes: Buffer, at: number): { list: RejectedDestination[]; end: number } {
  const reader = new Reader(bytes, at)
  const list: RejectedDestination[] = []
  try {
    const count = reader.uint8()
    while (list.length < count) list.push({ ...reader.handset(), error_status_code: reader.uint32() })
    return { list, end: reader.at }
  } catch (error) {
    if (!(error instanceof ListError)) throw error
    return { list, end: bytes.length }
  }
}

/** Writes count and destinations at `at` and says where they end; throws ListError. */
export function encodeDestinations(target: Buffer, at: number, list: readonly Destination[]): number {
  if (list.length === 0 || list.length > MOST) throw new ListError(commandStatus.ESME_RINVNUMDESTS)
  at = target.writeUInt8(list.length, at)
  for (const destination of list) {
    target[at++] = destination.dest_flag
    if (destination.dest_flag === 1) at = writeHandset(target, at, destination)
    else at = writeString(target, at, destination.dl_name, commandStatus.ESME_RINVDLNAME)
  }
  return at
}

/** Writes count and refused destinations at `at` and says where they end; throws ListError. */
export function encodeRejected(target: Buffer, at: number, list: readonly RejectedDestination[]): number {
  if (list.length > MOST) throw new ListError(commandStatus.ESME_RINVNUMDESTS)
  at = target.writeUInt8(list.length, at)
  for (const refused of list) {
    at = writeHandset(target, at, refused)
    at = target.writeUInt32BE(refused.error_status_code >>> 0, at)
  }
  return at
}

type Handset = Pick<RejectedDestination, 'dest_addr_ton' | 'dest_addr_npi' | 'destination_addr'>

function writeHandset(target: Buffer, at: number, handset: Handset): number {
  target[at++] = octet(handset.dest_addr_ton, commandStatus.ESME_RINVDSTTON)
  target[at++] = octet(handset.dest_addr_npi, commandStatus.ESME_RINVDSTNPI)
  return writeString(target, at, handset.destination_addr, commandStatus.ESME_RINVDSTADR)
}

function octet(value: number, fault: number): number {
  if (value >>> 0 !== value || value > 0xff) throw new ListError(fault)
  return value
}

function writeString(target: Buffer, at: number, value: string, fault: number): number {
  if (value.length >= ADDRESS_LENGTH) throw new ListError(fault)
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    if (code === 0 || code > 0xff) throw new ListError(fault)
    target[at++] = code
  }
  target[at++] = 0
  return at
}

class Reader {
  readonly #bytes: Buffer
  at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  uint8(): number {
    const value = this.#bytes[this.at++]
    if (value === undefined) throw new ListError(commandStatus.ESME_RINVNUMDESTS)
    return value
  }

  uint32(): number {
    if (this.at + 4 > this.#bytes.length) throw new ListError(commandStatus.ESME_RINVNUMDESTS)
    this.at += 4
    return this.#bytes.readUInt32BE(this.at - 4)
  }

  cstring(fault: number): string {
    const end = this.#bytes.indexOf(0, this.at)
    if (end < 0 || end - this.at >= ADDRESS_LENGTH) throw new ListError(fault)
    const value = this.#bytes.toString('latin1', this.at, end)
    this.at = end + 1
    return value
  }

  handset(): Handset {
    return {
      dest_addr_ton: this.uint8(),
      dest_addr_npi: this.uint8(),
      destination_addr: this.cstring(commandStatus.ESME_RINVDSTADR),
    }
  }
}
