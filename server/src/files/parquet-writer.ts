import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { codec, compressors, type ParquetColumn, type ParquetValue, schemaOf } from './parquet-columns.ts'

// A Parquet file is the magic number, row groups, and a footer that describes all of them. A row group is encoded by itself, and its
// description is text that can be stored with it, so a file can grow by row groups across processes, and only one is in memory.

type LibraryRowGroup = ParquetWriter['row_groups'][number]

/** The encoded bytes of a row group, and the text with which `parquetFooter` describes it. */
export type EncodedRowGroup = { bytes: Buffer; description: string }

const magic = Buffer.from('PAR1')

/** The first bytes of a Parquet file. */
export const parquetHeader: Buffer = magic

const createdBy = 'carillon'

/**
 * Returns a row group of at least one row, to be written behind the header or another row group. `values` are the cells of each column.
 * Throws if a cell has not the type of its column.
 */
export function encodeRowGroup(
  columns: readonly ParquetColumn[],
  values: readonly (readonly ParquetValue[])[],
): EncodedRowGroup {
  const output = new ByteWriter(1 << 16)
  const writer = new ParquetWriter({ writer: output, schema: schemaOf(columns), codec, compressors, createdBy })
  const columnData = columns.map(({ name, type }, n) => {
    const cells = values[n] ?? []
    return { name, data: type === 'int64' || type === 'time' ? cells.map(toBigInt) : [...cells], offsetIndex: false }
  })
  writer.write({ columnData, rowGroupSize: columnData[0]?.data.length || 1 })
  const [group] = writer.row_groups
  if (!group) throw new Error('a row group must have rows')
  return {
    bytes: Buffer.from(output.getBytes().subarray(magic.length)),
    description: JSON.stringify(move(group, -magic.length), toText),
  }
}

const toBigInt = (value: ParquetValue) => (typeof value === 'number' ? BigInt(value) : value)

/**
 * Returns the last bytes of a file with these row groups, given by their descriptions in the order in which they were written. `notes` are
 * key-value metadata that readers of the file show.
 */
export function parquetFooter(
  columns: readonly ParquetColumn[],
  descriptions: Iterable<string>,
  notes: Record<string, string> = {},
): Buffer {
  const output = new ByteWriter(1 << 16)
  const entries = Object.entries(notes).map(([key, value]) => ({ key, value }))
  const kvMetadata = entries.length > 0 ? entries : undefined
  const writer = new ParquetWriter({ writer: output, schema: schemaOf(columns), kvMetadata, createdBy })
  let offset = magic.length
  for (const description of descriptions) {
    const group = JSON.parse(description, fromText) as LibraryRowGroup
    writer.row_groups.push(move(group, offset))
    writer.num_rows += group.num_rows
    offset += Number(group.total_compressed_size)
  }
  writer.finish()
  const footer = Buffer.from(output.getBytes().subarray(magic.length))
  if (writer.row_groups.length === 0) markAsStructs(footer)
  return footer
}

/** num_rows (field 3, an i64) of 0, and the empty list of row groups (field 4) in the compact protocol of Thrift. */
const noRowGroups = Buffer.from([0x16, 0x00, 0x19, 0x00])
const emptyListOfStructs = 0x0c

/** Sets the type of the elements of the list of row groups, which the library leaves open if it is empty; strict readers reject that. */
function markAsStructs(footer: Buffer): void {
  // a schema cannot contain these bytes: it has no lists and no integers of this type
  const at = footer.indexOf(noRowGroups)
  if (at < 0) throw new Error('the footer of an empty Parquet file has an unexpected form')
  footer[at + noRowGroups.length - 1] = emptyListOfStructs
}

/** Writes a file whose row groups, each as the cells of its columns, come from `groups`; those without rows are left out. */
export async function* writeParquet(
  columns: readonly ParquetColumn[],
  groups: AsyncIterable<readonly (readonly ParquetValue[])[]>,
  notes: Record<string, string> = {},
): AsyncGenerator<Buffer> {
  const descriptions: string[] = []
  yield parquetHeader
  for await (const values of groups) {
    if (values.every((cells) => cells.length === 0)) continue
    const { bytes, description } = encodeRowGroup(columns, values)
    descriptions.push(description)
    yield bytes
  }
  yield parquetFooter(columns, descriptions, notes)
}

/** Returns a row group that begins `by` bytes further back in its file. */
function move(group: LibraryRowGroup, by: number): LibraryRowGroup {
  const moved = (offset: bigint) => offset + BigInt(by)
  return {
    ...group,
    columns: group.columns.map((column) => {
      const data = column.meta_data
      if (!data) throw new Error('a column of a row group has no description')
      const { dictionary_page_offset: dictionary } = data
      return {
        ...column,
        file_offset: moved(column.file_offset),
        meta_data: {
          ...data,
          data_page_offset: moved(data.data_page_offset),
          ...(dictionary === undefined ? {} : { dictionary_page_offset: moved(dictionary) }),
        },
      }
    }),
  }
}

function toText(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return { bigint: String(value) }
  return value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value
}

function fromText(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('bigint' in value) return BigInt(value.bigint as string)
  return 'base64' in value ? new Uint8Array(Buffer.from(value.base64 as string, 'base64')) : value
}
