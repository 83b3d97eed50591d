import type { Db } from '../db/db.ts'

export type ApiKeyRow = {
  id: number
  hash: Buffer
  scope: 'full' | 'read' | 'send'
  sandbox: boolean
  disabledAt: Date | null
  accountId: number
  email: string
  username: string
  timeZone: string
}

/** The key with this prefix and its account. */
export function findApiKeyByPrefix(db: Db, prefix: string) {
  return db.maybeOne<ApiKeyRow>(
    'find_api_key_by_prefix',
    /* sql */ `
    select k.id, k.hash, k.scope, k.sandbox, k.disabled_at as "disabledAt", a.id as "accountId", a.email, a.username,
           a.time_zone as "timeZone"
      from api_keys k
      join accounts a on a.id = k.account_id
     where k.prefix = $1`,
    [prefix],
  )
}
