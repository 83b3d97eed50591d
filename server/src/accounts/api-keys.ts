import { hash as hashOf, randomBytes, timingSafeEqual } from 'node:crypto'
import { BatchedRead } from '../db/batched-read.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { type Page, type PageOf, pageOf } from '../lib/paging.ts'
import type { Runtime } from '../runtime.ts'
import { type ApiKeyRow, findApiKeysByPrefix } from './accounts.queries.ts'
import {
  type ApiKey,
  type ApiKeyChange,
  countApiKeys,
  insertApiKey,
  listApiKeys,
  lockApiKeys,
  type NewApiKey,
  revokeApiKey,
  updateApiKey,
  updateOperatorLimit,
} from './api-keys.queries.ts'

const prefixLength = 20
// a generated key has 56 characters; the prefix of a key below this length would reveal half of it
const minPrefixableLength = 40

/** Returns a page of the account's keys, oldest first, without revoked keys. */
export function getApiKeyPage(db: Db, accountId: number, page: Page): Promise<PageOf<ApiKey>> {
  return pageOf(countApiKeys(db, accountId), listApiKeys(db, accountId, page))
}

/** Returns a new key: 256 random bits after a prefix by which scanners for leaked secrets recognize our keys. */
export function makeKey(): string {
  return `carillon_key_${randomBytes(32).toString('base64url')}`
}

type StoredKey = { prefix: string; hash: Buffer }

/** Returns the stored form of a key: its SHA-256, and the prefix that finds the row. */
export function storedKeyOf(key: string): StoredKey {
  const hash = hashOf('sha256', key, 'buffer')
  const prefix = key.length >= minPrefixableLength ? key : `sha256:${hash.toString('hex')}`
  return { prefix: prefix.slice(0, prefixLength), hash }
}

/**
 * Returns a function that does what `storedKeyOf` does, and remembers the last key of each connection while it is open: most
 * clients send one key, and hashing it took 5 of the 34 us of a small request (2026-11-29).
 */
export function storedKeyReader(): (key: string, connection: object) => StoredKey {
  const known = new WeakMap<object, { key: string; stored: StoredKey }>()
  return (key, connection) => {
    const last = known.get(connection)
    if (last?.key === key) return last.stored
    const stored = storedKeyOf(key)
    known.set(connection, { key, stored })
    return stored
  }
}

/**
 * Returns a function that finds the account and key of a key as a caller sent it. The function returns `disabled` for a
 * disabled key, and undefined for a key that is unknown, revoked, or (in production) created in sandbox mode. Each call
 * starts a new read, so a revoked key stops working in all processes when its revocation commits.
 */
export function callerFinder(db: Db, mode: 'sandbox' | 'production') {
  const byPrefix = new BatchedRead<string, ApiKeyRow | undefined>(async (prefixes) => {
    const rows = await findApiKeysByPrefix(db, [...new Set(prefixes)])
    const found = new Map(rows.map((row) => [row.prefix, row]))
    return prefixes.map((prefix) => found.get(prefix))
  })
  return async (key: string, { prefix, hash } = storedKeyOf(key)) => {
    const row = await byPrefix.read(prefix)
    if (row === undefined || !timingSafeEqual(row.hash, hash)) return undefined
    if (row.sandbox && mode === 'production') return undefined
    if (row.disabledAt !== null) return 'disabled'
    return {
      account: {
        id: row.accountId,
        email: row.email,
        username: row.username,
        timeZone: row.timeZone,
        isOperator: row.isOperator,
        rateLimit: row.accountRateLimit,
      },
      apiKey: {
        id: row.id,
        scope: row.scope,
        sandbox: row.sandbox,
        seeded: row.seeded,
        rateLimit: row.rateLimit,
        operatorRateLimit: row.operatorRateLimit,
        limitedKeyId: row.limitedKeyId,
      },
    }
  }
}

export type GivenApiKey = Omit<NewApiKey, 'prefix' | 'hash'>

/**
 * Creates a key for the account and returns it with its text, which is not stored. Production rejects keys that were
 * created in sandbox mode.
 */
export async function createApiKey(db: Db, given: GivenApiKey): Promise<ApiKey & { key: string }> {
  const key = makeKey()
  const row = await insertApiKey(db, { ...given, ...storedKeyOf(key) })
  return { ...row, key }
}

/** The actor of a change of a key: another key of the account, or the operator. */
export type KeyActor = { accountId: number; keyId: number | 'operator' }

/**
 * Runs `change` on one of the account's keys, with the row locked. When two keys disable each other, only the first one
 * succeeds, because the second one is already disabled when it gets the locks. So an account cannot lose its last key
 * through the API; the callers reject a key that disables itself.
 */
async function onKey<T>(db: Db, { accountId, keyId }: KeyActor, id: number, change: (tx: Db) => Promise<T>) {
  return db.tx(async (tx) => {
    const acting = keyId === 'operator' ? [] : [keyId]
    const rows = await lockApiKeys(tx, accountId, [...new Set([id, ...acting])])
    if (acting.some((own) => !rows.some((row) => row.id === own && row.disabledAt === null))) throw errors.keyDisabled()
    if (!rows.some((row) => row.id === id)) throw errors.apiKeyNotFound()
    return change(tx)
  })
}

/** Sets the operator's limit of a key; null means the installation's. The account can choose lower limits only. */
export function limitApiKey(rt: Pick<Runtime, 'db'>, actor: KeyActor, id: number, limit: string | null) {
  return onKey(rt.db, actor, id, (tx) => updateOperatorLimit(tx, id, limit))
}

/** Changes a key's name or the limit that the account chose. */
export function changeApiKey(rt: Pick<Runtime, 'db'>, actor: KeyActor, id: number, change: ApiKeyChange) {
  return onKey(rt.db, actor, id, (tx) => updateApiKey(tx, id, change))
}

/** Disables a key until it is enabled again; requests with it are rejected as soon as this returns. */
export async function disableApiKey(rt: Pick<Runtime, 'db' | 'clock'>, actor: KeyActor, id: number) {
  if (actor.keyId === id) throw errors.keyInUse()
  return onKey(rt.db, actor, id, (tx) => updateApiKey(tx, id, { disabledAt: rt.clock.now() }))
}

/** Enables a disabled key. */
export function enableApiKey(rt: Pick<Runtime, 'db'>, actor: KeyActor, id: number) {
  return onKey(rt.db, actor, id, (tx) => updateApiKey(tx, id, { disabledAt: null }))
}

/** Revokes a key permanently; its row is not deleted, because imports and the ledger refer to it. */
export async function removeApiKey(rt: Pick<Runtime, 'db' | 'clock'>, actor: KeyActor, id: number) {
  if (actor.keyId === id) throw errors.keyInUse()
  await onKey(rt.db, actor, id, (tx) => revokeApiKey(tx, id, rt.clock.now()))
}
