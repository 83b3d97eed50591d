import type { Db } from '../db/db.ts'
import { totalsOf } from '../log/counters.sql.ts'

export type PendingWork = {
  /** Messages in state sending. */
  messages: number
  /** Queued texts of these messages. */
  texts: number
  scheduled: number
}

/** Returns the numbers of messages and texts that wait to be sent, of an account or (null) of all. */
export function countPendingWork(db: Db, accountId: number | null = null) {
  return db.one<PendingWork>(
    'count_waiting',
    /* sql */ `
    select count(*) filter (where m.status = 'sending') as messages,
           coalesce(sum(c.queued) filter (where m.status = 'sending'), 0)::bigint as texts,
           count(*) filter (where m.status = 'scheduled') as scheduled
      from messages m left join ${totalsOf('m.id')} c on true
     where m.status in ('sending', 'scheduled') and ($1::bigint is null or m.account_id = $1)`,
    [accountId],
  )
}

/** Returns the number of keys that production rejects because they were created in sandbox mode. */
export async function countSandboxKeys(db: Db): Promise<number> {
  const row = await db.one<{ count: number }>(
    'count_sandbox_keys',
    /* sql */ `select count(*) as count from api_keys where sandbox and revoked_at is null`,
  )
  return row.count
}

/** Returns the number of enabled connections, except the one of CARILLON_SMPP_URL, which the setting defines. */
export async function countEnabledConnections(db: Db): Promise<number> {
  const { count } = await db.one<{ count: number }>(
    'count_enabled_connections',
    /* sql */ `select count(*)::int as count from connections where enabled and not from_environment`,
  )
  return count
}

/** Disables these connections, because a connection to a carrier cannot be distinguished from one to a simulator. */
export function disableConnections(tx: Db, at: Date) {
  return tx.exec(
    'disable_connections',
    /* sql */ `
    update connections set enabled = false, version = version + 1, updated_at = $1
     where enabled and not from_environment`,
    [at],
  )
}
