import { type Data, DataType, tableFromIPC } from 'apache-arrow'
import { readParquet } from 'parquet-wasm'

type Cell = string | number | bigint | boolean | Uint8Array | null

/**
 * Reads a Parquet file with the reader of the Arrow project in Rust, which shares no code with ours, and returns its columns, its notes
 * and its rows. Integers of 64 bits and times (microseconds since 1970) are bigints.
 */
export function readWithArrow(file: Buffer) {
  const table = tableFromIPC(readParquet(new Uint8Array(file)).intoIPCStream())
  const columns = Object.fromEntries(table.schema.fields.map(({ name, type }) => [name, String(type)]))
  const rows: Record<string, Cell>[] = []
  for (const batch of table.batches) {
    const cells = batch.schema.fields.map(({ name }, n) => ({ name, data: batch.data.children[n] as Data }))
    for (let row = 0; row < batch.numRows; row++) {
      rows.push(Object.fromEntries(cells.map(({ name, data }) => [name, cellOf(data, row)])))
    }
  }
  return { columns, notes: Object.fromEntries(table.schema.metadata), rows }
}

// the accessors of the library return times in milliseconds, and strings without a byte order mark
function cellOf(data: Data, row: number): Cell {
  if (!data.getValid(row)) return null
  const { type, values, valueOffsets: offsets } = data
  const at = data.offset + row
  if (DataType.isBool(type)) return ((values[at >> 3] >> (at & 7)) & 1) === 1
  if (DataType.isUtf8(type) || DataType.isBinary(type)) {
    const bytes = Buffer.from(values.subarray(Number(offsets[row]), Number(offsets[row + 1])))
    return DataType.isUtf8(type) ? bytes.toString() : new Uint8Array(bytes)
  }
  return values[row] as number | bigint
}
