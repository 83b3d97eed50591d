// Which receipts need not be sent any more, so that those still owed survive a kill of the simulator, as they would at
// a real SMSC. The first line is an offset into the raw file, before which nothing is owed; the other lines are SMSC
// ids after it whose receipt was answered or is never to be. When nothing at all is owed, one line is left.

import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { type RawRecord, rawLines, readRawLine, smscIdOf } from './raw-file.ts'

/** Below this the file is not worth rewriting. */
const COMPACT_ABOVE = 256 * 1024

export class SettledReceipts {
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
 * The file that goes on from what the last run left, the receipts which that run still owed, as `owe` makes them of its
 * messages (undefined for one that gets none), and its last id.
 */
export function openSettledReceipts<T>(
  path: string,
  rawPath: string,
  owe: (record: RawRecord) => T | undefined,
): { file: SettledReceipts; owed: T[]; lastId: number } {
  const { offset, answered } = readAnswered(path)
  const owed: T[] = []
  let lastId = 0
  for (const line of rawLines(rawPath, offset)) {
    const smscId = smscIdOf(line)
    if (answered.has(smscId)) {
      lastId = Math.max(lastId, Number.parseInt(smscId, 16))
      continue
    }
    const record = readRawLine(line)
    if (!record) continue
    lastId = Math.max(lastId, Number.parseInt(smscId, 16))
    const receipt = owe(record)
    if (receipt !== undefined) owed.push(receipt)
  }
  const file = new SettledReceipts(path)
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
