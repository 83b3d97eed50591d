import type { Readable } from 'node:stream'

// A backup is one gzipped stream of frames: a letter for the kind, four bytes of length, the content. Content is JSON, except
// for the rows of a table, which have the format of COPY. The last frame proves that the backup is complete.
//
//   H  header     product, format, mode, migrations
//   T  table      the table of the following rows
//   D  data       some of the table's rows
//   E  end        end of the table, with its number of rows
//   S  sequences  the value of each sequence
//   J  jobs       unfinished jobs
//   Z  the end    the number of tables and rows

export type FrameKind = 'H' | 'T' | 'D' | 'E' | 'S' | 'J' | 'Z'

export type BackupHeader = {
  product: 'carillon'
  format: number
  mode: 'sandbox' | 'production'
  createdAt: string
  migrations: { name: string; hash: string }[]
}

export type TableFrame = {
  name: string
  /** The columns in the order of the rows. */
  columns: string[]
  /** Statements that create the table, unless a migration does. */
  definition?: string[]
}

export type SequenceFrame = { name: string; lastValue: string; isCalled: boolean }

export type JobFrame = { name: string; data: object }

const headLength = 5
const maxFrameLength = 1 << 26

/** Encodes one frame; content other than a buffer becomes JSON. */
export function encodeFrame(kind: FrameKind, content: Buffer | object): Buffer {
  const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content))
  const frame = Buffer.alloc(headLength + bytes.length)
  frame.write(kind, 'latin1')
  frame.writeUInt32BE(bytes.length, 1)
  bytes.copy(frame, headLength)
  return frame
}

export type Frame = { kind: FrameKind; content: Buffer }

export class BackupError extends Error {}

/** Yields the frames of a stream with chunks of any size; throws BackupError for other content or an incomplete frame. */
export async function* readFrames(source: Readable): AsyncGenerator<Frame> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const bytes of source as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    for (;;) {
      if (rest.length < headLength) break
      const length = rest.readUInt32BE(1)
      const kind = String.fromCharCode(rest[0] ?? 0)
      if (!/[HTDESJZ]/.test(kind) || length > maxFrameLength) throw new BackupError('it is not a backup of Carillon')
      if (rest.length < headLength + length) break
      yield { kind: kind as FrameKind, content: rest.subarray(headLength, headLength + length) }
      rest = rest.subarray(headLength + length)
    }
  }
  if (rest.length > 0) throw new BackupError('it ends inside a frame')
}

export function readJson<T>(frame: Frame): T {
  return JSON.parse(frame.content.toString()) as T
}
