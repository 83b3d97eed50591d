import type { Db } from '../db/db.ts'

export type ShortCode = { id: number; code: string }

/** The account's short codes, oldest first. */
export function listShortCodes(db: Db, accountId: number) {
  return db.many<ShortCode>(
    'list_short_codes',
    /* sql */ `select id, code from short_codes where account_id = $1 order by id`,
    [accountId],
  )
}

export function findShortCode(db: Db, accountId: number, code: string) {
  return db.maybeOne<ShortCode>(
    'find_short_code',
    /* sql */ `select id, code from short_codes where account_id = $1 and code = $2`,
    [accountId, code],
  )
}
