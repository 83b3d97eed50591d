import type { Readable } from 'node:stream'
import type { Mode } from '../../system/installation.queries.ts'

// The content of a backup is a sequence of frames. Content is JSON, except for the rows of a table, which have the text format
// of COPY. backup-file.ts has the bytes around it.
//
//   H  header     product, mode, time, migrations
//   T  table      name and columns of the following rows
//   D  data       some of the table's rows
//   E  end        end of the table, with its number of rows
//   S  sequences  the value of each sequence
//   J  jobs       unfinished jobs
//   Z  the end    the number of tables and rows

/** The longest content of each kind, so that a reader needs a fixed amount of memory. */
export const maxLengths = {
  H: 1 << 20,
  T: 1 << 16,
  D: 1 << 20,
  E: 1 << 10,
  S: 1 << 20,
  J: 1 << 22,
  Z: 1 << 10,
} as const

export type FrameKind = keyof typeof maxLengths

export type Frame = { kind: FrameKind; content: Buffer }

export type BackupHeader = {
  product: 'carillon'
  mode: Mode
  createdAt: string
  migrations: { name: string; hash: string }[]
}

/** A table with its columns in the order of the rows. */
export type TableFrame = { name: string; columns: string[] }

export type SequenceFrame = { name: string; lastValue: string; isCalled: boolean }

export type JobFrame = { name: string; data: Record<string, number> }

/** The number of restored or written tables and rows. */
export type Summary = { tables: number; rows: number }

/** Thrown for a file that is not a valid backup; the message continues "cannot be restored: ". */
export class BackupError extends Error {}

/** Returns a frame; content other than a buffer becomes JSON. */
export function makeFrame(kind: FrameKind, content: Buffer | object): Frame {
  return { kind, content: Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content)) }
}

export function isFrameKind(kind: string): kind is FrameKind {
  return Object.hasOwn(maxLengths, kind)
}

const headLength = 5

/**
 * Yields the frames of a decompressed backup of format 1, which had no tags: a letter, four bytes of length, the content.
 * Throws BackupError for other content or an incomplete frame.
 */
export async function* readUntaggedFrames(source: Readable): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const bytes of source as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    for (;;) {
      if (rest.length < headLength) break
      const length = rest.readUInt32BE(1)
      const kind = String.fromCharCode(rest[0] ?? 0)
      if (!isFrameKind(kind) || length > maxLengths[kind]) throw new BackupError('it is not a backup of Carillon')
      if (rest.length < headLength + length) break
      yield { kind, content: rest.subarray(headLength, headLength + length) }
      rest = rest.subarray(headLength + length)
    }
  }
  if (rest.length > 0) throw new BackupError('it ends inside a frame')
}
