import type { Db } from '../db/db.ts'

export type KeyClaim = {
  apiKeyId: number
  key: string
  requestHash: Buffer
  /** Identifies the request that processes the key. */
  token: string
}

/** A request renews its lease every quarter of this time; after a crash, its key can be claimed again this much later. */
export const leaseMs = 60_000

/**
 * Claims the key for this request: a new key, an expired one, or one whose claim for the same request has expired. Returns
 * false when another request has a lease on the key, or its response is stored.
 */
export async function claimKey(db: Db, claim: KeyClaim, { now, expiresAt }: { now: Date; expiresAt: Date }) {
  const rows = await db.exec(
    'claim_idempotency_key',
    /* sql */ `
    insert into idempotency_keys as k (api_key_id, key, request_hash, token, lease_until, expires_at)
    values ($1, $2, $3, $4, clock_timestamp() + $5 * interval '1 millisecond', $6)
        on conflict (api_key_id, key) do update
       set request_hash = excluded.request_hash, body_hash = null, token = excluded.token,
           lease_until = excluded.lease_until, status = null, body = null, expires_at = excluded.expires_at
     where k.expires_at <= $7
        or (k.status is null and k.lease_until < clock_timestamp() and k.request_hash = excluded.request_hash)`,
    [claim.apiKeyId, claim.key, claim.requestHash, claim.token, leaseMs, expiresAt, now],
  )
  return rows === 1
}

export type KnownKey = { requestHash: Buffer; bodyHash: Buffer | null; status: number | null; body: string | null }

/** Returns the stored request and, once it has completed, its response. */
export function findKey(db: Db, apiKeyId: number, key: string) {
  return db.maybeOne<KnownKey>(
    'find_idempotency_key',
    /* sql */ `
    select request_hash as "requestHash", body_hash as "bodyHash", status, body
      from idempotency_keys where api_key_id = $1 and key = $2`,
    [apiKeyId, key],
  )
}

/** Extends the lease of a request that is still running. */
export function renewClaim(db: Db, { apiKeyId, key, token }: KeyClaim) {
  return db.exec(
    'renew_idempotency_key',
    /* sql */ `
    update idempotency_keys set lease_until = clock_timestamp() + $4 * interval '1 millisecond'
     where api_key_id = $1 and key = $2 and token = $3 and status is null`,
    [apiKeyId, key, token, leaseMs],
  )
}

export type StoredResponse = { status: number; body: string; bodyHash: Buffer | null }

/** Stores the response; returns false when another request has taken over the key, so this one must not commit. */
export async function storeResponse(
  db: Db,
  { apiKeyId, key, token }: KeyClaim,
  response: StoredResponse,
): Promise<boolean> {
  const rows = await db.exec(
    'store_idempotent_response',
    /* sql */ `
    update idempotency_keys set status = $4, body = $5, body_hash = $6
     where api_key_id = $1 and key = $2 and token = $3 and status is null`,
    [apiKeyId, key, token, response.status, response.body, response.bodyHash],
  )
  return rows === 1
}

/** Deletes the key of a request that changed nothing, so that it can be sent again. */
export function releaseKey(db: Db, { apiKeyId, key, token }: KeyClaim) {
  return db.exec(
    'release_idempotency_key',
    /* sql */ `
    delete from idempotency_keys where api_key_id = $1 and key = $2 and token = $3 and status is null`,
    [apiKeyId, key, token],
  )
}

/** Deletes up to `limit` expired keys, and returns their number. */
export function deleteOldKeys(db: Db, now: Date, limit: number) {
  return db.exec(
    'delete_old_idempotency_keys',
    /* sql */ `
    delete from idempotency_keys
     where (api_key_id, key) in (select api_key_id, key from idempotency_keys
                                  where expires_at <= $1 order by expires_at limit $2 for update skip locked)`,
    [now, limit],
  )
}
