import type { Db } from '../db/db.ts'

export type ApiKeyRow = {
  id: number
  hash: Buffer
  scope: 'full' | 'read' | 'send'
  sandbox: boolean
  seeded: boolean
  rateLimit: string | null
  disabledAt: Date | null
  accountId: number
  email: string
  username: string
  timeZone: string
}

/** The key with this prefix and its account, unless it was revoked. */
export function findApiKeyByPrefix(db: Db, prefix: string) {
  return db.maybeOne<ApiKeyRow>(
    'find_api_key_by_prefix',
    /* sql */ `
    select k.id, k.hash, k.scope, k.sandbox, k.seeded, k.rate_limit as "rateLimit",
           k.disabled_at as "disabledAt", a.id as "accountId", a.email, a.username,
           a.time_zone as "timeZone"
      from api_keys k
      join accounts a on a.id = k.account_id
     where k.prefix = $1 and k.revoked_at is null`,
    [prefix],
  )
}
