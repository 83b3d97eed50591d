import type { Db } from '../db/db.ts'

export type LaneDepth = { lane: number; due: number; later: number; oldestDueSeconds: number }

/** Recipients in chunks that are not done, by lane: those that are due by `now`, those of later, and the longest wait. */
export function measureLanes(db: Db, now: Date) {
  return db.many<LaneDepth>(
    'measure_lanes',
    /* sql */ `
    select lane,
           coalesce(sum(last_log_id - first_log_id + 1) filter (where due_at <= $1 and not paused), 0)::bigint as due,
           coalesce(sum(last_log_id - first_log_id + 1) filter (where due_at > $1 or paused), 0)::bigint as later,
           coalesce(extract(epoch from $1 - min(due_at) filter (where due_at <= $1 and not paused)), 0)::float8
             as "oldestDueSeconds"
      from send_chunks where done_at is null group by lane`,
    [now],
  )
}

export type OpenRows = { kind: string; queued: number; submitting: number; sent: number; unknown: number }

/** Recipients of messages that are being sent, by kind and state. */
export function measureOpenMessages(db: Db) {
  return db.many<OpenRows>(
    'measure_open_messages',
    /* sql */ `
    select m.kind, sum(c.queued)::bigint as queued, sum(c.submitting)::bigint as submitting, sum(c.sent)::bigint as sent,
           sum(c.unknown)::bigint as unknown
      from messages m join message_counters c on c.message_id = m.id
     where m.status = 'sending' group by m.kind`,
  )
}

/** Receipts that no text explains yet. */
export async function countWaitingReceipts(db: Db): Promise<number> {
  const { count } = await db.one<{ count: number }>(
    'count_waiting_receipts',
    /* sql */ `select count(*) from receipts where outcome = 'waiting'`,
  )
  return count
}

/** Bind slots by connection: how many there are, and how many of them are bound. */
export function measureBinds(db: Db) {
  return db.many<{ connection: string; bound: number; unbound: number }>(
    'measure_binds',
    /* sql */ `
    select c.name as connection, count(*) filter (where s.bound and s.lease_until > clock_timestamp()) as bound,
           count(*) filter (where (s.bound and s.lease_until > clock_timestamp()) is not true) as unbound
      from connections c join bind_slots s on s.connection_id = c.id
     where c.enabled group by c.name`,
  )
}
