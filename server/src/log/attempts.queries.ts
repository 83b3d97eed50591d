import { markUsed } from '../connections/used.sql.ts'
import type { Db } from '../db/db.ts'
import { param, sql } from '../db/sql.ts'

/** A submit_sm that a carrier did not accept. */
export type Attempt = {
  logId: number
  day: string
  part: number
  connectionId: number
  /** Null if no octet of it was written. */
  writtenAt: Date | null
  responseMs: number | null
  /** The name of the command_status, or `no response` or `not written`. */
  outcome: string
}

export async function insertAttempts(db: Db, attempts: Attempt[]): Promise<void> {
  const connectionIds = param(attempts.map(({ connectionId }) => connectionId))
  await db.exec(
    'insert_attempts',
    sql`
    with ${markUsed(connectionIds)}
    insert into submit_attempts (log_id, logged_on, part, connection_id, written_at, response_ms, outcome)
    select * from unnest(${attempts.map(({ logId }) => logId)}::bigint[], ${attempts.map(({ day }) => day)}::date[],
                         ${attempts.map(({ part }) => part)}::smallint[], ${connectionIds}::smallint[],
                         ${attempts.map(({ writtenAt }) => writtenAt)}::timestamptz[],
                         ${attempts.map(({ responseMs }) => responseMs)}::int[], ${attempts.map(({ outcome }) => outcome)}::text[])`,
  )
}

/** Deletes up to `limit` attempts of texts logged before this day (YYYY-MM-DD); returns how many it deleted. */
export function deleteAttempts(db: Db, before: string, limit: number): Promise<number> {
  return db.exec(
    'delete_attempts',
    /* sql */ `
    delete from submit_attempts
     where ctid = any(array(select ctid from submit_attempts where logged_on < $1::date limit $2))`,
    [before, limit],
  )
}
