// The raw file: one line for every submit_sm that the simulator accepts, appended with write(2) before the response is sent,
// so that the file is complete even if the process is killed immediately afterwards. Crash tests compare the product's
// records with this file.
//
// The fields of a line, separated by tabs: time (ms since 1970), SMSC id (lower-case hex), destination, source, esm_class,
// data_coding, registered_delivery, user_message_reference or '-', length of the text in octets, the text in hex. The length
// identifies a line that a kill truncated; its message never got a response.
//
// A large file becomes `<path>.1` at a moment at which no receipt is owed, because receipts of earlier runs are read from the
// current file only.

import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'

const CHUNK = 256 * 1024

export type RawRecord = {
  time: number
  smscId: string
  destination: string
  source: string
  esmClass: number
  dataCoding: number
  registeredDelivery: number
  userMessageReference: number | undefined
  shortMessage: string
}

export type RawFields = {
  destination_addr: string
  source_addr: string
  esm_class: number
  data_coding: number
  registered_delivery: number
}

export class RawFile {
  readonly #path: string
  readonly #maxSize: number
  #fd: number
  #size: number
  #lines = ''

  /** `maxSize` is the size in octets from which the file should be rotated; at twice that size it is full. */
  constructor(path: string, maxSize = Number.POSITIVE_INFINITY) {
    this.#path = path
    this.#maxSize = maxSize
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    // it contains phone numbers and texts
    this.#fd = openSync(path, 'a+', 0o600)
    this.#size = fstatSync(this.#fd).size
    // a kill may have truncated the last line; it stays unchanged, and the next record starts on a new line
    if (this.#size > 0 && this.#lastByte() !== 0x0a) this.#lines = '\n'
  }

  /** Number of octets written: the offset of the next line after a flush. */
  get size(): number {
    return this.#size
  }

  get isLarge(): boolean {
    return this.#size >= this.#maxSize
  }

  /** Whether no more lines should be added until the file is rotated. */
  get isFull(): boolean {
    return this.#size + this.#lines.length >= 2 * this.#maxSize
  }

  /** Adds a line to the batch. The addresses must not contain tabs or line ends. */
  add(time: number, smscId: string, pdu: RawFields, text: Buffer, reference: number | undefined): void {
    this.#lines += `${time}\t${smscId}\t${pdu.destination_addr}\t${pdu.source_addr}\t${pdu.esm_class}\t${
      pdu.data_coding
    }\t${pdu.registered_delivery}\t${reference ?? '-'}\t${text.length}\t${text.toString('hex')}\n`
  }

  /** Writes the batch to the kernel. Throws if the disk is full, after it removed the written part of the batch. */
  flush(): void {
    if (this.#lines === '') return
    const bytes = Buffer.from(this.#lines, 'latin1')
    this.#lines = ''
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at)
    } catch (error) {
      ftruncateSync(this.#fd, this.#size)
      throw error
    }
    this.#size += bytes.length
  }

  /** Renames the file to `<path>.1`, which it replaces, and starts a new one; the batch is written to the new one. */
  rotate(): void {
    const next = `${this.#path}.next`
    rmSync(next, { force: true })
    const fd = openSync(next, 'a+', 0o600)
    try {
      renameSync(this.#path, `${this.#path}.1`)
    } catch (error) {
      // an operator may have removed the file
      if (!isMissing(error)) {
        closeSync(fd)
        throw error
      }
    }
    renameSync(next, this.#path)
    closeSync(this.#fd)
    this.#fd = fd
    this.#size = 0
  }

  close(): void {
    closeSync(this.#fd)
  }

  #lastByte(): number | undefined {
    const last = Buffer.alloc(1)
    readSync(this.#fd, last, 0, 1, this.#size - 1)
    return last[0]
  }
}

/** Reads a raw file and the one before it in the order of acceptance, in constant memory; a missing file has no records. */
export function* readRawFile(path: string): Generator<RawRecord> {
  const files = openBoth(path)
  try {
    for (const fd of files) {
      for (const line of linesOf(fd, 0)) {
        const record = readRawLine(line)
        if (record) yield record
      }
    }
  } finally {
    for (const fd of files) closeSync(fd)
  }
}

/** Yields the lines of the current file from an offset on, including a truncated last line. */
export function* rawLines(path: string, from: number): Generator<string> {
  const fd = openIfExists(path)
  if (fd === undefined) return
  try {
    yield* linesOf(fd, from)
  } finally {
    closeSync(fd)
  }
}

/** Opens the files in the order of their lines. */
function openBoth(path: string): number[] {
  for (;;) {
    const current = openIfExists(path)
    const before = openIfExists(`${path}.1`)
    const found = [before, current].filter((fd) => fd !== undefined)
    if (new Set(found.map((fd) => fstatSync(fd).ino)).size === found.length) return found
    // the file was rotated between the two calls
    for (const fd of found) closeSync(fd)
  }
}

function openIfExists(path: string): number | undefined {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}

function* linesOf(fd: number, from: number): Generator<string> {
  const chunk = Buffer.allocUnsafe(CHUNK)
  let rest = ''
  for (let at = from, read = 0; ; at += read) {
    read = readSync(fd, chunk, 0, CHUNK, at)
    if (read === 0) break
    const lines = (rest + chunk.toString('latin1', 0, read)).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest) yield rest
}

/** Returns the SMSC id of a line without parsing the rest. */
export function smscIdOf(line: string): string {
  const start = line.indexOf('\t') + 1
  return line.slice(start, line.indexOf('\t', start))
}

/** Parses a line; returns undefined for a truncated line. */
export function readRawLine(line: string): RawRecord | undefined {
  const cells = line.split('\t')
  const [time, smscId, destination, source, esmClass, dataCoding, registered, reference, octets, hex] = cells
  if (!time || !smscId || !destination || !source || !octets || hex === undefined) return undefined
  if (cells.length !== 10 || hex.length !== Number(octets) * 2) return undefined
  return {
    time: Number(time),
    smscId,
    destination,
    source,
    esmClass: Number(esmClass),
    dataCoding: Number(dataCoding),
    registeredDelivery: Number(registered),
    userMessageReference: reference === '-' ? undefined : Number(reference),
    shortMessage: hex,
  }
}
