import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Db } from '../../db/db.ts'
import { OperatorError } from '../../errors.ts'
import { type FileStore, StoreError } from '../../files/file-store.ts'
import { findManifest, listFiles } from './archives.queries.ts'

type Stored = { folder: string; name: string; bytes: number }

/**
 * Writes the files and the manifest of an archived day into a folder that does not exist, and returns their numbers of files and rows.
 * Throws OperatorError, and leaves no folder, if the day has no archive, or if a file is missing or has another SHA-256.
 */
export async function exportArchive(db: Db, store: FileStore, day: string, folder: string) {
  const manifest = await findManifest(db, day)
  if (!manifest) throw new OperatorError(`${day} has no archive.`)
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') throw new OperatorError(`${folder} already exists.`)
    throw error
  })
  try {
    const files = await listFiles(db, day)
    for (const file of files) {
      const name = `account-${file.accountId}-${String(file.fileNumber).padStart(3, '0')}.parquet`
      if ((await copy(store, file, join(folder, name))) !== file.sha256)
        throw new OperatorError(`The file ${name} of ${day} is damaged: its SHA-256 differs from that of the archive.`)
    }
    await copy(store, manifest, join(folder, 'manifest.json'))
    return { files: files.length, rows: files.reduce((sum, { rowCount }) => sum + rowCount, 0) }
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    if (error instanceof StoreError) throw new OperatorError(`The archive of ${day} cannot be read: ${error.message}.`)
    throw error
  }
}

/** Copies a file, and returns its SHA-256. */
async function copy(store: FileStore, { folder, name, bytes }: Stored, path: string): Promise<string> {
  const parts = [{ name, bytes }]
  if (!(await store.has(folder, parts))) throw new OperatorError(`The file ${folder}/${name} is missing.`)
  const hash = createHash('sha256')
  await pipeline(
    await store.read(folder, parts, 0, bytes - 1),
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        hash.update(chunk)
        yield chunk
      }
    },
    createWriteStream(path, { mode: 0o600, flags: 'wx' }),
  )
  return hash.digest('hex')
}
