import { createHash } from 'node:crypto'
import type { FileStore } from '../../files/file-store.ts'
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

/** Reads the row groups of a file, or those that are wanted, of which one at a time is in memory. */
export async function* readGroups(
  store: FileStore,
  file: Stored,
  isWanted?: (index: number) => boolean,
): AsyncGenerator<ArchivedRow[]> {
  const { folder, name, bytes } = file
  const parts = [{ name, bytes }]
  const parquet = await openParquet({
    size: bytes,
    async read(first, last) {
      const chunks: Buffer[] = []
      for await (const chunk of await store.read(folder, parts, first, last)) chunks.push(chunk as Buffer)
      return Buffer.concat(chunks)
    },
  })
  const names = (columns: readonly { name: string; type: string }[]) =>
    columns.map(({ name, type }) => `${name} ${type}`).join()
  if (names(parquet.columns) !== names(archiveColumns)) throw new ArchiveDamaged('a file has other columns')
  yield* parquet.rowGroups(isWanted)
}
