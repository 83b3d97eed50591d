import { type FileMetaData, parquetMetadataAsync, parquetRead } from 'hyparquet'
import { columnsOf, decompressors, type ParquetColumn, type ParquetValue } from './parquet-columns.ts'

/** A file whose bytes `from` to `to`, inclusive, can be read. */
export type ParquetSource = { size: number; read: (from: number, to: number) => Promise<Buffer> }

export type ParquetFile = {
  columns: ParquetColumn[]
  rowCount: number
  notes: Record<string, string>
  /** The rows of each row group, or of those that are wanted, of which only one is in memory. */
  rowGroups: (isWanted?: (index: number) => boolean) => AsyncGenerator<ParquetValue[][]>
}

/** Reads the footer of a Parquet file that `parquet-writer.ts` wrote; throws if the file is not one, or is damaged. */
export async function openParquet({ size, read }: ParquetSource): Promise<ParquetFile> {
  const file = {
    byteLength: size,
    async slice(from: number, end = size) {
      if (from < 0 || end > size) throw new Error('a Parquet file names bytes that it does not have')
      const bytes = end > from ? await read(from, end - 1) : Buffer.alloc(0)
      if (bytes.length !== end - from) throw new Error('a Parquet file is shorter than its size')
      return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer
    },
  }
  const metadata = await parquetMetadataAsync(file)
  return {
    columns: columnsOf(metadata.schema),
    rowCount: Number(metadata.num_rows),
    notes: Object.fromEntries((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? ''])),
    rowGroups: (isWanted = () => true) => readRowGroups(file, metadata, isWanted),
  }
}

async function* readRowGroups(
  file: Parameters<typeof parquetMetadataAsync>[0],
  metadata: FileMetaData,
  isWanted: (index: number) => boolean,
) {
  let rowStart = 0
  for (const [n, group] of metadata.row_groups.entries()) {
    const rowEnd = rowStart + Number(group.num_rows)
    if (!isWanted(n)) {
      rowStart = rowEnd
      continue
    }
    let rows: unknown[][] = []
    await parquetRead({
      ...{ file, metadata, rowStart, rowEnd, parsers, compressors: decompressors, utf8: false },
      onComplete: (all) => {
        rows = all as unknown[][]
      },
    })
    if (rows.length !== rowEnd - rowStart) throw new Error('a row group of a Parquet file has too few rows')
    yield rows.map((row) => row.map((value) => (value ?? null) as ParquetValue))
    rowStart = rowEnd
  }
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true })

/** The library returns times in milliseconds, and strings without a byte order mark. */
const parsers = {
  timestampFromMicroseconds: (micros: bigint | undefined) => micros,
  dateFromDays: (days: number | undefined) => days,
  stringFromBytes: (bytes: Uint8Array | undefined) => bytes && decoder.decode(bytes),
}
