// A file of the receipts that no longer need to be sent, so that owed receipts are sent after a kill of the simulator, as at a real
// SMSC. The first line is an offset into the raw file, before which no receipt is owed; the other lines are SMSC ids after
// it whose receipt was acknowledged or will never be sent. If no receipt is owed, the file has one line.

import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { type RawRecord, rawLines, readRawLine, smscIdOf } from './raw-file.ts'

/** Minimum size in octets at which compact() rewrites the file. */
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

  /** Appends the batch. After a kill before this call, receipts of the batch are sent again. */
  flush(): void {
    if (this.#lines === '' || this.#fd === undefined) return
    this.#size += writeSync(this.#fd, this.#lines, null, 'latin1')
    this.#lines = ''
  }

  /** Starts a new file at the raw file's end if the file is large; only for callers that owe no receipt. */
  compact(rawSize: number): void {
    if (this.#size > COMPACT_ABOVE) this.startAt(rawSize, [])
  }

  /** Starts a new file: no receipt is owed before `offset` of the raw file, nor for these ids after it. */
  startAt(offset: number, ids: Iterable<string>): void {
    this.prepare(offset, ids)()
  }

  /** Writes such a file beside the current one, and returns the function that replaces the current one and its batch. */
  prepare(offset: number, ids: Iterable<string>): () => void {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 })
    const next = `${this.#path}.next`
    const fd = openSync(next, 'w', 0o600)
    const size = writeSync(fd, `${[offset, ...ids].join('\n')}\n`)
    return () => {
      this.#lines = ''
      this.close()
      renameSync(next, this.#path)
      this.#fd = fd
      this.#size = size
    }
  }

  close(): void {
    if (this.#fd === undefined) return
    this.flush()
    closeSync(this.#fd)
    this.#fd = undefined
  }
}

/**
 * Opens the file of the last run. Returns it with the receipts that this run still owed (made by `toReceipt`, which returns
 * undefined for a message without a receipt) and with the last SMSC id in the raw file.
 */
export function openSettledReceipts<T>(
  path: string,
  rawPath: string,
  toReceipt: (record: RawRecord) => T | undefined,
): { file: SettledReceipts; owed: T[]; lastId: number } {
  const { offset, settled } = readSettled(path)
  const owed: T[] = []
  let lastId = 0
  for (const line of rawLines(rawPath, offset)) {
    const smscId = smscIdOf(line)
    if (settled.has(smscId)) {
      lastId = Math.max(lastId, Number.parseInt(smscId, 16))
      continue
    }
    const record = readRawLine(line)
    if (!record) continue
    lastId = Math.max(lastId, Number.parseInt(smscId, 16))
    const receipt = toReceipt(record)
    if (receipt !== undefined) owed.push(receipt)
  }
  const file = new SettledReceipts(path)
  if (owed.length > 0) file.startAt(offset, settled)
  else file.startAt(sizeOf(rawPath), [])
  return { file, owed, lastId }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function readSettled(path: string): { offset: number; settled: Set<string> } {
  let text: string
  try {
    text = readFileSync(path, 'latin1')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return { offset: 0, settled: new Set() }
  }
  const lines = text.split('\n')
  // the last element is empty, or a line that a kill truncated
  lines.pop()
  const offset = Number(lines.shift() ?? 0)
  return { offset, settled: new Set(lines) }
}
