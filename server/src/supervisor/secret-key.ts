import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { OperatorError } from '../errors.ts'

export const secretKeyName = 'secret.key'

/** Returns the key of the data directory, or undefined if it has none; throws OperatorError if the key is damaged. */
export function findSecretKey(dataDir: string): string | undefined {
  const path = join(dataDir, secretKeyName)
  let text: string
  try {
    text = readFileSync(path, 'utf8').trim()
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new OperatorError(`${path} cannot be read: ${(e as Error).message}`)
  }
  if (/^[0-9a-f]{64}$/.test(text)) return text
  throw new OperatorError(
    `${path} is damaged: it must be 64 hex digits. Restore it from a copy, or set CARILLON_SECRET_KEY.`,
  )
}

/** Returns the key of the data directory, and creates a missing one; concurrent calls return the same key. */
export function ensureSecretKey(dataDir: string): string {
  const known = findSecretKey(dataDir)
  if (known !== undefined) return known
  const path = join(dataDir, secretKeyName)
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  // flushed before it is used, because secrets that are sealed with a lost key are lost
  writeFileSync(draft, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flush: true })
  try {
    linkSync(draft, path) // fails if a concurrent process has created the key
    syncDirectory(dataDir)
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw e
  } finally {
    rmSync(draft, { force: true })
  }
  return ensureSecretKey(dataDir)
}

function syncDirectory(path: string) {
  if (process.platform === 'win32') return
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}
