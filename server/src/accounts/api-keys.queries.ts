import type { Db } from '../db/db.ts'
import { columnsOf, raw, sql, valuesOf } from '../db/sql.ts'
import type { PageBounds } from '../lib/paging.ts'

export type Scope = 'full' | 'read' | 'send'

export type ApiKey = {
  id: number
  accountId: number
  name: string
  prefix: string
  scope: Scope
  rateLimit: string | null
  /** The operator's limit of this key. */
  operatorRateLimit: string | null
  /** The key whose operator limit also binds this one. */
  limitedBy: number | null
  createdAt: Date
  lastUsedAt: Date | null
  disabledAt: Date | null
}

const columns = /* sql */ `
  id, account_id as "accountId", name, prefix, scope, rate_limit as "rateLimit", operator_rate_limit as "operatorRateLimit",
  limited_by as "limitedBy", created_at as "createdAt",
  last_used_at as "lastUsedAt", disabled_at as "disabledAt"`

export type NewApiKey = {
  accountId: number
  name: string
  prefix: string
  hash: Buffer
  scope: Scope
  rateLimit: string | null
  /** The operator's limit. */
  operatorRateLimit?: string | null
  /** The key whose operator limit also binds the new one. */
  limitedBy?: number | null
  sandbox: boolean
  now: Date
}

export function insertApiKey(db: Db, key: NewApiKey) {
  const row = {
    account_id: key.accountId,
    name: key.name,
    prefix: key.prefix,
    hash: key.hash,
    scope: key.scope,
    rate_limit: key.rateLimit,
    operator_rate_limit: key.operatorRateLimit ?? null,
    limited_by: key.limitedBy ?? null,
    sandbox: key.sandbox,
    created_at: key.now,
  }
  return db.one<ApiKey>(
    'insert_api_key',
    sql`insert into api_keys (${columnsOf(row)}) values (${valuesOf(row)}) returning ${raw(columns)}`,
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

/** Sets a key's operator limit (null: the installation's) and ends its own limit and its dependence on another key. */
export function updateOperatorLimit(db: Db, id: number, limit: string | null) {
  return db.one<ApiKey>(
    'update_operator_limit',
    /* sql */ `
    update api_keys set operator_rate_limit = $2, rate_limit = null, limited_by = null where id = $1
    returning ${columns}`,
    [id, limit],
  )
}

/** Returns the operator limit that binds a key of the account: its own, or that of the key that created it. */
export async function findBindingLimit(db: Db, accountId: number, id: number): Promise<string | null> {
  const row = await db.maybeOne<{ limit: string | null }>(
    'find_binding_limit',
    /* sql */ `
    select coalesce(l.operator_rate_limit, k.operator_rate_limit) as limit
      from api_keys k left join api_keys l on l.id = k.limited_by where k.id = $2 and k.account_id = $1`,
    [accountId, id],
  )
  return row?.limit ?? null
}

/** Returns whether a key is valid: neither revoked nor disabled, and its account not disabled. */
export async function isKeyValid(db: Db, id: number): Promise<boolean> {
  const valid = await db.exec(
    'find_valid_key',
    /* sql */ `
    select from api_keys k join accounts a on a.id = k.account_id
     where k.id = $1 and k.revoked_at is null and k.disabled_at is null and a.disabled_at is null`,
    [id],
  )
  return valid > 0
}

/** Returns a key of any account; for operators only. */
export function findApiKey(db: Db, id: number) {
  return db.maybeOne<ApiKey>(
    'find_api_key',
    /* sql */ `select ${columns} from api_keys where id = $1 and revoked_at is null`,
    [id],
  )
}
