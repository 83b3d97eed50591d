import { isDeepStrictEqual } from 'node:util'
import type { Db } from '../../db/db.ts'
import type { FileStore } from '../../files/file-store.ts'
import { fileStoreOf } from '../../files/installed-store.ts'
import { at } from './archive-columns.ts'
import { loadRows, sumLoaded, sumRows } from './archive-slices.queries.ts'
import {
  type ArchiveFile,
  findManifest,
  type LeasedDay,
  listFiles,
  markVerified,
  renewLease,
} from './archives.queries.ts'
import { ArchiveDamaged, hashFile, readGroups } from './read-archive.ts'
import type { ArchiveRt, ArchiveSizes } from './write-archive.ts'

/**
 * Reads the files of a day back and compares them with what was written: the bytes by their SHA-256, and the rows, as PostgreSQL makes
 * rows of the log of them, by their number, states and hash. Throws ArchiveDamaged if a file differs.
 */
export async function verifyFiles(rt: ArchiveRt, lease: LeasedDay, signal: AbortSignal): Promise<void> {
  const store = fileStoreOf(rt.config)
  for (const file of await listFiles(rt.db, lease.day)) {
    if (file.isVerified) continue
    await verifyFile(rt.db, store, lease, file, signal)
    await markVerified(rt.db, lease, file)
  }
}

async function verifyFile(db: Db, store: FileStore, lease: LeasedDay, file: ArchiveFile, signal: AbortSignal) {
  const name = nameOf(file)
  if (!(await isStored(store, file))) throw new ArchiveDamaged(`${name} is gone, or has another size`)
  if ((await hashFile(store, file)) !== file.sha256) throw new ArchiveDamaged(`${name} has another SHA-256`)
  const read = { rows: 0, hash: 0n, states: {} as Record<string, number> }
  for await (const rows of readGroups(store, file)) {
    signal.throwIfAborted()
    await renewLease(db, lease)
    const sums = await db.tx(async (tx) => {
      await loadRows(tx, rows)
      return sumLoaded(tx)
    })
    read.rows += sums.rows
    read.hash += sums.hash
    for (const row of rows) read.states[`${row[at.state]}`] = (read.states[`${row[at.state]}`] ?? 0) + 1
  }
  if (read.rows !== file.rowCount) throw new ArchiveDamaged(`${name} has ${read.rows} rows, not ${file.rowCount}`)
  if (!isDeepStrictEqual(read.states, file.states)) throw new ArchiveDamaged(`${name} has rows in other states`)
  if (String(read.hash) !== file.rowHash) throw new ArchiveDamaged(`${name} has rows with other values`)
}

/** Returns which file of a day, or its manifest, is no longer in the store with its size; undefined if none is missing. */
export async function findMissingFile(
  rt: ArchiveRt,
  lease: LeasedDay,
  signal: AbortSignal,
): Promise<string | undefined> {
  const store = fileStoreOf(rt.config)
  for (const file of await listFiles(rt.db, lease.day)) {
    signal.throwIfAborted()
    await renewLease(rt.db, lease)
    if (!(await isStored(store, file))) return `${nameOf(file)} is gone, or has another size`
  }
  const manifest = await findManifest(rt.db, lease.day)
  return manifest && (await isStored(store, manifest)) ? undefined : 'the manifest is gone, or has another size'
}

const nameOf = ({ fileNumber, accountId }: ArchiveFile) => `file ${fileNumber} of account ${accountId}`

const isStored = (store: FileStore, { folder, name, bytes }: Pick<ArchiveFile, 'folder' | 'name' | 'bytes'>) =>
  store.has(folder, [{ name, bytes }])

/** Compares the rows of a day's table with those of its files, in slices; returns what differs, or undefined if nothing does. */
export async function compareWithLog(
  { db }: ArchiveRt,
  lease: LeasedDay,
  { groupRows }: ArchiveSizes,
  isDetached: boolean,
  signal: AbortSignal,
): Promise<string | undefined> {
  const log = { rows: 0, hash: 0n }
  for (let last: number | null = 0; last !== null; ) {
    signal.throwIfAborted()
    await renewLease(db, lease)
    const slice: Awaited<ReturnType<typeof sumRows>> = await sumRows(db, lease.day, isDetached, last, groupRows)
    log.rows += slice.rows
    log.hash += slice.hash
    last = slice.last
  }
  const files = await listFiles(db, lease.day)
  const rows = files.reduce((sum, { rowCount }) => sum + rowCount, 0)
  const hash = files.reduce((sum, { rowHash }) => sum + BigInt(rowHash), 0n)
  if (log.rows !== rows) return `the log has ${log.rows} rows, the archive ${rows}`
  return log.hash === hash ? undefined : 'rows of the log have changed since they were archived'
}
