import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { openBackup } from '../src/cli/backup/backup-file.ts'
import type { Frame } from '../src/cli/backup/frames.ts'
import { writeBackup } from '../src/cli/backup/write-backup.ts'
import { Secret } from '../src/config/secret.ts'
import { freshDatabase, type TestDatabase } from './database.ts'
import { make } from './make.ts'

export const secretKey = new Secret('5a'.repeat(32))
export const otherKey = new Secret('a5'.repeat(32))

export type SampleBackup = {
  /** The database of which the backup was written: one account with one subscriber. */
  readonly origin: TestDatabase
  /** The backup, signed with `secretKey`. */
  readonly file: string
  readonly frames: Frame[]
  /** Returns the path of another file, which is removed with the backup. */
  path(name: string): string
}

/** Writes one backup for all tests of a file. */
export function useSampleBackup(): SampleBackup {
  let origin: TestDatabase
  let folder: string
  let frames: Frame[]
  const path = (name: string) => join(folder, name)

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'carillon-backups-'))
    origin = await freshDatabase()
    await origin.db.exec('mode', `insert into installation (mode) values ('sandbox')`)
    const list = await make.list(origin.db)
    await make.subscriber(origin.db, { listId: list.id, phone: 2_065_550_143 })
    await writeBackup(origin.url, path('sample.backup'), secretKey)
    const backup = await openBackup(path('sample.backup'), secretKey)
    frames = await Array.fromAsync(backup.frames())
    await backup.close()
  })

  afterAll(async () => {
    await origin.close()
    rmSync(folder, { recursive: true, force: true })
  })

  return {
    get origin() {
      return origin
    },
    get file() {
      return path('sample.backup')
    },
    get frames() {
      return frames
    },
    path,
  }
}

export async function* asStream(frames: Frame[]) {
  yield* frames
}

/** Encodes frames in format 1, before compression. */
export function encodeUntagged(frames: Frame[]): Buffer {
  return Buffer.concat(
    frames.flatMap(({ kind, content }) => {
      const head = Buffer.alloc(5)
      head.write(kind, 'latin1')
      head.writeUInt32BE(content.length, 1)
      return [head, content]
    }),
  )
}
