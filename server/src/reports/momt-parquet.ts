import { fieldLength, integerAt, microsAt } from '../db/copy-out.ts'
import type { ParquetColumn, ParquetType, ParquetValue } from '../files/parquet-columns.ts'
import { encodeRowGroup } from '../files/parquet-writer.ts'
import { type Direction, type MomtKind, momtColumns, momtStatuses, rowColumns } from './momt-columns.ts'
import type { MessageValues } from './momt-lines.ts'

/** Number of rows of a row group: it is in memory until it is encoded, in about 50 ms. */
const rowGroupRows = 20_000

const typeOf = (name: string, kind: MomtKind): ParquetType =>
  kind === 'time' ? 'time' : kind !== 'number' ? 'text' : name === 'parts' ? 'int32' : 'int64'

/** The columns of a report as a Parquet file; times are in UTC. */
export const parquetColumns: readonly ParquetColumn[] = momtColumns.map(({ name, kind }) => ({
  name,
  type: typeOf(name, kind),
}))

/** Writes the rows of a slice, as COPY returns them, as row groups. */
export class RowGroupWriter {
  readonly #direction: Direction
  readonly #messages: readonly MessageValues[]
  /** For each field of a row, the column that it belongs to. */
  readonly #fields: readonly { column: number; kind: MomtKind }[]
  /** The columns without a field. */
  readonly #others: readonly number[]
  #values: ParquetValue[][] = momtColumns.map(() => [])
  #rows = 0
  #encoded: Buffer[] = []
  rowCount = 0
  /** The descriptions of the row groups, in their order; complete after `take('all')`. */
  readonly descriptions: string[] = []

  constructor({ direction, messages }: { direction: Direction; messages: readonly MessageValues[] }) {
    this.#direction = direction
    this.#messages = messages
    this.#fields = rowColumns(direction).map((column) => ({ column: momtColumns.indexOf(column), kind: column.kind }))
    this.#others = momtColumns
      .keys()
      .filter((n) => !this.#fields.some(({ column }) => column === n))
      .toArray()
  }

  /** Adds a row, and returns whether there are bytes to take. */
  readonly write = (row: Buffer): boolean => {
    const message = this.#messages[integerAt(row, 6, 4)]
    if (!message) throw new Error('a row has an unknown message')
    let at = 10
    for (const { column, kind } of this.#fields) {
      const length = fieldLength(row, at)
      at += 4
      const value = length < 0 ? this.#valueOf(column, message) : valueAt(kind, row, at, length)
      ;(this.#values[column] as ParquetValue[]).push(value)
      at += Math.max(0, length)
    }
    for (const column of this.#others) (this.#values[column] as ParquetValue[]).push(this.#valueOf(column, message))
    this.rowCount++
    if (++this.#rows < rowGroupRows) return false
    this.#encode()
    return true
  }

  /** The value of a message's column, or the constant of a direction. */
  #valueOf(column: number, message: MessageValues): ParquetValue {
    const { name, [this.#direction]: source } = momtColumns[column] as (typeof momtColumns)[number]
    return source.message === undefined ? (source.constant ?? null) : (message[name] ?? null)
  }

  #encode(): void {
    const { bytes, description } = encodeRowGroup(parquetColumns, this.#values)
    this.#encoded.push(bytes)
    this.descriptions.push(description)
    this.#values = momtColumns.map(() => [])
    this.#rows = 0
  }

  /** Returns the row groups that are full, or all. */
  take(which: 'full' | 'all'): Buffer[] {
    if (which === 'all' && this.#rows > 0) this.#encode()
    const encoded = this.#encoded
    this.#encoded = []
    return encoded
  }
}

function valueAt(kind: MomtKind, row: Buffer, at: number, length: number): ParquetValue {
  if (kind === 'time') return microsAt(row, at)
  if (kind === 'number') return integerAt(row, at, length)
  if (kind === 'digits') return String(integerAt(row, at, length))
  if (kind === 'status') return momtStatuses[integerAt(row, at, length)] ?? null
  return row.toString('utf8', at, at + length)
}
