import { fieldLength, integerAt, microsAt } from '../db/copy-out.ts'
import { CellWriter } from './momt-cells.ts'
import {
  type Direction,
  type LineFormat,
  type MomtKind,
  momtColumns,
  momtStatuses,
  rowColumns,
} from './momt-columns.ts'

/** The values of a message's columns by their names; times are microseconds since 1970. */
export type MessageValues = Record<string, string | number | null>

export type LineOptions = {
  format: LineFormat
  direction: Direction
  timeZone: string
  /** The messages of a slice; rows name theirs by its index. */
  messages: readonly MessageValues[]
}

/** The bytes of a line that are the same for all rows of a message: those before each field, those behind the last, and cells instead of null. */
type Frame = { before: Uint8Array[]; behind: Uint8Array; insteadOfNull: (Uint8Array | undefined)[]; bytes: number }

type Field = { name: string; kind: MomtKind }

/** Bytes of a cell of a number or a time, and its share of a line's quotes. */
const cellBytes = 64

/** The header line of a CSV file. */
export const csvHeader: Buffer = Buffer.from(`${momtColumns.map(({ name }) => name).join(',')}\n`)

/** Writes the rows of a slice, as COPY returns them, as lines. */
export class LineWriter {
  readonly #cells: CellWriter
  readonly #fields: readonly Field[]
  readonly #frames: readonly Frame[]
  readonly #statuses: readonly Uint8Array[]
  rowCount = 0

  constructor(options: LineOptions) {
    this.#cells = new CellWriter(options.format, options.timeZone)
    this.#fields = rowColumns(options.direction)
    const scratch = new CellWriter(options.format, options.timeZone, 1 << 16)
    this.#frames = options.messages.map((message) => frameOf(message, options, scratch))
    this.#statuses = momtStatuses.map((word) => {
      scratch.reserve(word.length)
      writeCell('word', word, scratch)
      return scratch.takeAll()
    })
  }

  /** Writes a row, and returns whether it is worth taking lines. */
  readonly write = (row: Buffer): boolean => {
    const cells = this.#cells
    const frame = this.#frames[integerAt(row, 6, 4)]
    if (!frame) throw new Error('a row has an unknown message')
    cells.reserve(row.length, frame.bytes)
    let at = 10
    for (let n = 0; n < this.#fields.length; n++) {
      cells.raw(frame.before[n] as Uint8Array)
      const length = fieldLength(row, at)
      at += 4
      if (length >= 0) {
        this.#write((this.#fields[n] as Field).kind, row, at, length)
        at += length
      } else {
        const cell = frame.insteadOfNull[n]
        if (cell) cells.raw(cell)
        else cells.none()
      }
    }
    cells.raw(frame.behind)
    this.rowCount++
    return cells.isFull
  }

  #write(kind: MomtKind, row: Buffer, at: number, length: number): void {
    const cells = this.#cells
    if (kind === 'text') cells.text(row, at, at + length)
    else if (kind === 'time') cells.time(Math.floor(microsAt(row, at) / 1e6))
    else if (kind === 'number') cells.number(integerAt(row, at, length))
    else if (kind === 'digits') cells.digits(integerAt(row, at, length))
    else if (kind === 'status') cells.raw(this.#statuses[integerAt(row, at, length)] as Uint8Array)
    else cells.word(row, at, at + length)
  }

  /** Returns the lines that are worth taking, or all. */
  take(which: 'full' | 'all'): Buffer[] {
    return this.#cells.take(which)
  }
}

const encodedNames = momtColumns.map(({ name }, n) => ({
  csv: Buffer.from(n === 0 ? '' : ','),
  json: Buffer.from(`${n === 0 ? '{' : ','}"${name}":`),
}))
const lineEnds = { csv: Buffer.from('\n'), json: Buffer.from('}\n') }

/** Writes a frame to `scratch`, of which its bytes remain a part: many messages have one text, so that frames must be cheap. */
function frameOf(message: MessageValues, { format, direction }: LineOptions, scratch: CellWriter): Frame {
  const values = momtColumns.map(({ name, [direction]: source }) =>
    source.message === undefined ? (source.constant ?? null) : (message[name] ?? null),
  )
  const textBytes = values.reduce<number>(
    (sum, value) => sum + (typeof value === 'string' ? Buffer.byteLength(value) : 0),
    0,
  )
  // a value is written twice at most
  scratch.reserve(2 * textBytes, 2 * momtColumns.length * cellBytes)
  const ends: number[] = []
  for (const [n, { kind, [direction]: source }] of momtColumns.entries()) {
    scratch.raw((encodedNames[n] as (typeof encodedNames)[number])[format])
    if (source.row === undefined) writeCell(kind, values[n] ?? null, scratch)
    else ends.push(scratch.length)
  }
  scratch.raw(lineEnds[format])
  ends.push(scratch.length)
  const cells = momtColumns.flatMap(({ kind, [direction]: source }, n) => {
    const value = values[n] ?? null
    if (source.row === undefined) return []
    const from = scratch.length
    if (value !== null) writeCell(kind, value, scratch)
    return [value === null ? undefined : { from, to: scratch.length }]
  })
  const bytes = scratch.takeAll()
  const pieces = ends.map((end, n) => bytes.subarray(ends[n - 1] ?? 0, end))
  return {
    before: pieces.slice(0, -1),
    behind: pieces.at(-1) as Uint8Array,
    insteadOfNull: cells.map((cell) => cell && bytes.subarray(cell.from, cell.to)),
    bytes: bytes.length + momtColumns.length * cellBytes,
  }
}

/** Writes a value of a message, or a constant. */
function writeCell(kind: MomtKind, value: string | number | null, cells: CellWriter): void {
  if (value === null) cells.none()
  else if (kind === 'number') cells.number(Number(value))
  else if (kind === 'digits') cells.digits(Number(value))
  else if (kind === 'time') cells.time(Math.floor(Number(value) / 1e6))
  else {
    const text = Buffer.from(String(value))
    if (kind === 'text') cells.text(text, 0, text.length)
    else cells.word(text, 0, text.length)
  }
}
