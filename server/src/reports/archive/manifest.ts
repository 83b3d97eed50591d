import { randomUUID } from 'node:crypto'
import { version } from '../../config/version.ts'
import type { FileStore } from '../../files/file-store.ts'
import { archiveColumns, archiveFormat } from './archive-columns.ts'
import type { ArchiveFile } from './archives.queries.ts'

/** What `manifest.json` says about a day; its keys are those of the file. */
export type Manifest = ReturnType<typeof makeManifest>

/** Returns the manifest of a day with these files. */
export function makeManifest(day: string, files: readonly ArchiveFile[], now: Date) {
  return {
    product: 'carillon',
    version,
    format: archiveFormat,
    day,
    created_at: now.toISOString(),
    columns: archiveColumns,
    rows: files.reduce((sum, { rowCount }) => sum + rowCount, 0),
    row_hash: String(files.reduce((sum, { rowHash }) => sum + BigInt(rowHash), 0n)),
    accounts: [...Map.groupBy(files, ({ accountId }) => accountId)].map(([accountId, ofAccount]) => ({
      account_id: accountId,
      rows: ofAccount.reduce((sum, { rowCount }) => sum + rowCount, 0),
      states: addStates(ofAccount.map(({ states }) => states)),
    })),
    files: files.map((file) => ({
      account_id: file.accountId,
      number: file.fileNumber,
      path: `${file.folder}/${file.name}`,
      bytes: file.bytes,
      sha256: file.sha256,
      rows: file.rowCount,
      row_hash: file.rowHash,
      states: file.states,
    })),
  }
}

/** Adds numbers of rows by state. */
export function addStates(all: readonly Record<string, number>[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const states of all) for (const [state, n] of Object.entries(states)) sums[state] = (sums[state] ?? 0) + n
  return sums
}

/** Returns a folder for the manifest of a day that no other one uses, not even that of a restored copy. */
export const newManifestFolder = (day: string) => `message_log/${day}/manifest-${randomUUID()}`

/** Stores a manifest in a folder, and returns where it is. */
export async function writeManifest(store: FileStore, folder: string, manifest: Manifest) {
  const bytes = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`)
  const content = (async function* () {
    yield bytes
  })()
  const { added } = await store.append(folder, [], content)
  const [part] = await store.finish(folder, added)
  if (!part) throw new Error('a manifest must be one part')
  return { folder, ...part }
}
