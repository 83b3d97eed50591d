import { createHash } from 'node:crypto'
import type { FileStore } from '../../files/file-store.ts'
import type { ParquetColumn } from '../../files/parquet-columns.ts'
import { openParquet } from '../../files/parquet-reader.ts'
import { type ArchivedRow, archiveColumns } from './archive-columns.ts'
import type { ArchiveFile } from './archives.queries.ts'

type Stored = Pick<ArchiveFile, 'folder' | 'name' | 'bytes'>

/** Thrown if the files of a day are not what was written, or are not equal to the log. */
export class ArchiveDamaged extends Error {}

/** Returns the SHA-256 of a file in the store. */
export async function hashFile(store: FileStore, { folder, name, bytes }: Stored): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of await store.read(folder, [{ name, bytes }], 0, bytes - 1)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/**
 * Reads the row groups of a file, or those that are wanted, of which one at a time is in memory. A column that the file does not have is
 * null. Throws ArchiveDamaged if the file cannot be parsed, and the error of the store if the store fails.
 */
export async function* readGroups(
  store: FileStore,
  file: Stored,
  isWanted?: (index: number) => boolean,
): AsyncGenerator<ArchivedRow[]> {
  const { folder, name, bytes } = file
  const parts = [{ name, bytes }]
  let failure: { error: unknown } | undefined
  async function read(first: number, last: number): Promise<Buffer> {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of await store.read(folder, parts, first, last)) chunks.push(chunk as Buffer)
    } catch (error) {
      failure = { error }
      throw error
    }
    return Buffer.concat(chunks)
  }
  try {
    const parquet = await openParquet({ size: bytes, read })
    const indexes = indexesOf(parquet.columns)
    for await (const rows of parquet.rowGroups(isWanted)) {
      yield rows.map((row) => assertRow(indexes.map((index) => row[index] ?? null)))
    }
  } catch (error) {
    if (failure) throw failure.error
    if (error instanceof ArchiveDamaged) throw error
    throw new ArchiveDamaged('a file cannot be read as Parquet', { cause: error })
  }
}

/** The columns without which there is no row of the log. */
const required = new Set(['id', 'message_id', 'phone', 'state'])
const requiredIndexes = [...archiveColumns.keys()].filter((n) => required.has(archiveColumns[n]?.name ?? ''))

/** Returns a row; throws ArchiveDamaged if it lacks a value that all rows have, so that no reader skips it. */
function assertRow(row: ArchivedRow): ArchivedRow {
  const missing = requiredIndexes.find((n) => row[n] === null)
  if (missing !== undefined) throw new ArchiveDamaged(`a file has rows without ${archiveColumns[missing]?.name}`)
  return row
}

/** Returns the index of each archived column among those of a file, -1 if it was added to the log later; throws ArchiveDamaged. */
function indexesOf(found: readonly ParquetColumn[]): number[] {
  return archiveColumns.map(({ name, type }) => {
    const index = found.findIndex((column) => column.name === name)
    if (index < 0 ? required.has(name) : found[index]?.type !== type)
      throw new ArchiveDamaged(`a file has no column ${name} of type ${type}`)
    return index
  })
}
