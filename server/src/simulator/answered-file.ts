// Which receipts need not be sent any more, so that those still owed survive a kill of the simulator, as they would at
// a real SMSC. The first line is an offset into the raw file, before which nothing is owed; the other lines are SMSC
// ids after it whose receipt was answered or is never to be. When nothing at all is owed, one line is left.

import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { type RawRecord, readRawFile } from './raw-file.ts'

/** Below this the file is not worth rewriting. */
const COMPACT_ABOVE = 256 * 1024

export class AnsweredFile {
  readonly #path: string
  #fd: number | undefined
  #size = 0
  #lines = ''

  constructor(path: string) {
    this.#path = path
  }

  add(smscId: string): void {
    this.#lines += `${smscId}\n`
  }

  /** Appends the batch. What a kill takes is only that a receipt is sent once more. */
  flush(): void {
    if (this.#lines === '' || this.#fd === undefined) return
    this.#size += writeSync(this.#fd, this.#lines, null, 'latin1')
    this.#lines = ''
  }

  /** To be called when nothing is owed: starts over at the raw file's end, once that saves something. */
  compact(rawSize: number): void {
    if (this.#size > COMPACT_ABOVE) this.startAt(rawSize, [])
  }

  /** Begins a new file: nothing is owed before `offset` of the raw file, nor of these ids after it. */
  startAt(offset: number, ids: Iterable<string>): void {
    this.close()
    this.#lines = ''
    mkdirSync(dirname(this.#path), { recursive: true })
    const next = `${this.#path}.next`
    const fd = openSync(next, 'w')
    this.#size = writeSync(fd, `${[offset, ...ids].join('\n')}\n`)
    renameSync(next, this.#path)
    this.#fd = fd
  }

  close(): void {
    if (this.#fd === undefined) return
    this.flush()
    closeSync(this.#fd)
    this.#fd = undefined
  }
}

/**
 * What the last run accepted and may still owe a receipt for, and the file that goes on from there. `owesReceipt` says
 * whether a message gets one at all.
 */
export async function openAnsweredFile(
  path: string,
  rawPath: string,
  owesReceipt: (record: RawRecord) => boolean,
): Promise<{ file: AnsweredFile; owed: RawRecord[]; lastId: number }> {
  const { offset, answered } = readAnswered(path)
  const owed: RawRecord[] = []
  let lastId = 0
  for await (const record of readRawFile(rawPath, offset)) {
    lastId = Math.max(lastId, Number.parseInt(record.smscId, 16))
    if (!answered.has(record.smscId) && owesReceipt(record)) owed.push(record)
  }
  const file = new AnsweredFile(path)
  if (owed.length > 0) file.startAt(offset, answered)
  else file.startAt(sizeOf(rawPath), [])
  return { file, owed, lastId }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function readAnswered(path: string): { offset: number; answered: Set<string> } {
  let text: string
  try {
    text = readFileSync(path, 'latin1')
  } catch (fault) {
    if ((fault as NodeJS.ErrnoException).code !== 'ENOENT') throw fault
    return { offset: 0, answered: new Set() }
  }
  const lines = text.split('\n')
  // The last piece is empty, or a line torn by a kill.
  lines.pop()
  const offset = Number(lines.shift() ?? 0)
  return { offset, answered: new Set(lines) }
}
