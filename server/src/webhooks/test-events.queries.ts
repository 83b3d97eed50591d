import type { Db } from '../db/db.ts'

/** Returns the number of the account's test events since a time, at most `limit`. */
export async function countTestEvents(db: Db, accountId: number, since: Date, limit: number): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_test_events',
    /* sql */ `
    select count(*) as n
      from (select from events where account_id = $1 and is_test and occurred_at > $2 limit $3) recent`,
    [accountId, since, limit],
  )
  return n
}
