import type { Db } from '../db/db.ts'

export type Waiting = {
  /** Messages that are not sent to the end, and the texts of them that wait. */
  messages: number
  texts: number
  scheduled: number
}

/** What would go out if it were sent now. */
export function countWaiting(db: Db) {
  return db.one<Waiting>(
    'count_waiting',
    /* sql */ `
    select count(*) filter (where m.status = 'sending') as messages,
           coalesce(sum(c.queued) filter (where m.status = 'sending'), 0)::bigint as texts,
           count(*) filter (where m.status = 'scheduled') as scheduled
      from messages m left join message_counters c on c.message_id = m.id
     where m.status in ('sending', 'scheduled')`,
  )
}

export async function countSandboxKeys(db: Db): Promise<number> {
  const row = await db.one<{ count: number }>(
    'count_sandbox_keys',
    /* sql */ `select count(*) as count from api_keys where sandbox and revoked_at is null`,
  )
  return row.count
}
