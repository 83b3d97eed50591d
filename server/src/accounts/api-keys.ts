import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Db } from '../db/db.ts'
import { findApiKeyByPrefix } from './accounts.queries.ts'

const prefixLength = 20
// a made key has 56 characters; of one much shorter the prefix would give half away
const shortest = 40

/** A new key: 256 random bits behind a word that tells scanners of leaked secrets whose it is. */
export function makeKey(): string {
  return `carillon_key_${randomBytes(32).toString('base64url')}`
}

/** What is stored of a key: its SHA-256, and the part that finds the row. */
export function traceOf(key: string): { prefix: string; hash: Buffer } {
  const hash = createHash('sha256').update(key).digest()
  const prefix = key.length >= shortest ? key : `sha256:${hash.toString('hex')}`
  return { prefix: prefix.slice(0, prefixLength), hash }
}

/**
 * The account and key behind a key as the caller sent it, `disabled` for one that was switched off, or
 * undefined for one that is not ours. Sandbox keys open nothing in production.
 */
export async function findCaller(db: Db, mode: 'sandbox' | 'production', key: string) {
  const { prefix, hash } = traceOf(key)
  const row = await findApiKeyByPrefix(db, prefix)
  if (row === undefined || !timingSafeEqual(row.hash, hash)) return undefined
  if (row.sandbox && mode === 'production') return undefined
  if (row.disabledAt !== null) return 'disabled'
  return {
    account: { id: row.accountId, email: row.email, username: row.username, timeZone: row.timeZone },
    apiKey: { id: row.id, scope: row.scope, sandbox: row.sandbox },
  }
}
