// The two lists of submit_multi: its destinations (§4.5.1.1) and, in the response, those that the SMSC rejected (§4.5.2.1).

import { commandStatus } from './command-status.ts'

/** A handset (dest_flag 1) or a distribution list stored at the SMSC (2). */
export type Destination =
  | { dest_flag: 1; dest_addr_ton: number; dest_addr_npi: number; destination_addr: string }
  | { dest_flag: 2; dl_name: string }

export type RejectedDestination = {
  dest_addr_ton: number
  dest_addr_npi: number
  destination_addr: string
  error_status_code: number
}

/** Makes the destination of a handset; type of number and numbering plan default to unknown. */
export const toHandset = (destination_addr: string, dest_addr_ton = 0, dest_addr_npi = 0): Destination => ({
  dest_flag: 1,
  dest_addr_ton,
  dest_addr_npi,
  destination_addr,
})

const MAX_DESTINATIONS = 254
/** Includes the NUL. */
const ADDRESS_LENGTH = 21

/** A malformed list; `command_status` identifies the malformed part. */
export class ListError extends Error {
  override name = 'ListError'
  readonly command_status: number

  constructor(command_status: number) {
    super('malformed list of destinations')
    this.command_status = command_status
  }
}

/** Decodes the count at `at` and the destinations after it; returns them and their end, or throws ListError. */
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

/** Decodes the whole entries and ignores a truncated rest, because the SMSC has already acted. */
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

/** Encodes count and destinations at `at` and returns their end; throws ListError. */
export function encodeDestinations(target: Buffer, at: number, list: readonly Destination[]): number {
  if (list.length === 0 || list.length > MAX_DESTINATIONS) throw new ListError(commandStatus.ESME_RINVNUMDESTS)
  at = target.writeUInt8(list.length, at)
  for (const destination of list) {
    target[at++] = destination.dest_flag
    if (destination.dest_flag === 1) at = writeHandset(target, at, destination)
    else at = writeString(target, at, destination.dl_name, commandStatus.ESME_RINVDLNAME)
  }
  return at
}

/** Encodes count and rejected destinations at `at` and returns their end; throws ListError. */
export function encodeRejected(target: Buffer, at: number, list: readonly RejectedDestination[]): number {
  if (list.length > MAX_DESTINATIONS) throw new ListError(commandStatus.ESME_RINVNUMDESTS)
  at = target.writeUInt8(list.length, at)
  for (const rejected of list) {
    at = writeHandset(target, at, rejected)
    at = target.writeUInt32BE(rejected.error_status_code >>> 0, at)
  }
  return at
}

type Handset = Pick<RejectedDestination, 'dest_addr_ton' | 'dest_addr_npi' | 'destination_addr'>

function writeHandset(target: Buffer, at: number, handset: Handset): number {
  target[at++] = octet(handset.dest_addr_ton, commandStatus.ESME_RINVDSTTON)
  target[at++] = octet(handset.dest_addr_npi, commandStatus.ESME_RINVDSTNPI)
  return writeString(target, at, handset.destination_addr, commandStatus.ESME_RINVDSTADR)
}

function octet(value: number, status: number): number {
  if (value >>> 0 !== value || value > 0xff) throw new ListError(status)
  return value
}

function writeString(target: Buffer, at: number, value: string, status: number): number {
  if (value.length >= ADDRESS_LENGTH) throw new ListError(status)
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    if (code === 0 || code > 0xff) throw new ListError(status)
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

  cstring(status: number): string {
    const end = this.#bytes.indexOf(0, this.at)
    if (end < 0 || end - this.at >= ADDRESS_LENGTH) throw new ListError(status)
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
