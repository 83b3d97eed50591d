import type { Db } from '../db/db.ts'
import type { PageBounds } from '../lib/paging.ts'

export type Scope = 'full' | 'read' | 'send'

export type ApiKey = {
  id: number
  accountId: number
  name: string
  prefix: string
  scope: Scope
  rateLimit: string | null
  createdAt: Date
  lastUsedAt: Date | null
  disabledAt: Date | null
}

const columns = /* sql */ `
  id, account_id as "accountId", name, prefix, scope, rate_limit as "rateLimit", created_at as "createdAt",
  last_used_at as "lastUsedAt", disabled_at as "disabledAt"`

export type NewApiKey = {
  accountId: number
  name: string
  prefix: string
  hash: Buffer
  scope: Scope
  rateLimit: string | null
  sandbox: boolean
  now: Date
}

export function insertApiKey(db: Db, key: NewApiKey) {
  return db.one<ApiKey>(
    'insert_api_key',
    /* sql */ `
    insert into api_keys (account_id, name, prefix, hash, scope, rate_limit, sandbox, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    returning ${columns}`,
    [key.accountId, key.name, key.prefix, key.hash, key.scope, key.rateLimit, key.sandbox, key.now],
  )
}

/** Returns a page of the account's keys, oldest first, without revoked keys. */
export function listApiKeys(db: Db, accountId: number, page: PageBounds) {
  return db.many<ApiKey>(
    'list_api_keys',
    /* sql */ `
    select ${columns} from api_keys where account_id = $1 and revoked_at is null order by id limit $2 offset $3`,
    [accountId, page.perPage, page.offset],
  )
}

/** Returns the number of the account's keys, without revoked keys. */
export async function countApiKeys(db: Db, accountId: number): Promise<number> {
  const row = await db.one<{ count: number }>(
    'count_api_keys',
    /* sql */ `select count(*) as count from api_keys where account_id = $1 and revoked_at is null`,
    [accountId],
  )
  return row.count
}

/**
 * Locks the account's keys with these ids in the order of their ids, and returns them. The order prevents a deadlock
 * between two keys that revoke each other.
 */
export function lockApiKeys(db: Db, accountId: number, ids: number[]) {
  return db.many<ApiKey>(
    'lock_api_keys',
    /* sql */ `
    select ${columns} from api_keys
     where account_id = $1 and id = any($2) and revoked_at is null order by id for update`,
    [accountId, ids],
  )
}

export type ApiKeyChange = { disabledAt?: Date | null; name?: string; rateLimit?: string | null }

/** Changes the given fields of a key; absent fields do not change. */
export function updateApiKey(db: Db, id: number, change: ApiKeyChange) {
  return db.one<ApiKey>(
    'update_api_key',
    /* sql */ `
    update api_keys
       set disabled_at = case when $2 then $3 else disabled_at end, name = coalesce($4, name),
           rate_limit = case when $5 then $6 else rate_limit end
     where id = $1
    returning ${columns}`,
    [
      id,
      change.disabledAt !== undefined,
      change.disabledAt ?? null,
      change.name ?? null,
      change.rateLimit !== undefined,
      change.rateLimit ?? null,
    ],
  )
}

export function revokeApiKey(db: Db, id: number, now: Date) {
  return db.exec('revoke_api_key', /* sql */ `update api_keys set revoked_at = $2 where id = $1`, [id, now])
}

/** Stores the last use of these keys, except for keys whose stored last use is less than a minute old. */
export function markKeysUsed(db: Db, ids: number[], now: Date) {
  return db.exec(
    'mark_keys_used',
    /* sql */ `
    update api_keys k set last_used_at = $2::timestamptz
      from (select id from api_keys where id = any($1) order by id for update) used
     where k.id = used.id and (k.last_used_at is null or k.last_used_at <= $2::timestamptz - interval '1 minute')`,
    [ids, now],
  )
}

/** Returns a key of any account; for operators only. */
export function findApiKey(db: Db, id: number) {
  return db.maybeOne<ApiKey>(
    'find_api_key',
    /* sql */ `select ${columns} from api_keys where id = $1 and revoked_at is null`,
    [id],
  )
}
