import type { Db } from '../db/db.ts'
import { totalsOf } from '../log/counters.sql.ts'
import { disabledCodes, isReply } from '../log/disabled.sql.ts'

export type LaneDepth = { lane: number; due: number; later: number; oldestDueSeconds: number }

/** The SQL condition under which the texts of a chunk wait for an operator or its author, not for a gateway. */
const isHeld = /* sql */ `(paused or short_code_id = any(${disabledCodes}::bigint[]) and not ${isReply})`

/**
 * Returns the numbers of queued recipients by lane, in chunks that are due at `now` and in other chunks, and the longest
 * wait. The number of finished rows of a chunk is not known without reading them, so a message counts for at most the
 * number of its queued rows.
 */
export function measureLanes(db: Db, now: Date) {
  return db.many<LaneDepth>(
    'measure_lanes',
    /* sql */ `
    with open as (
      select lane, message_id,
             coalesce(sum(last_log_id - first_log_id + 1) filter (where due_at <= $1 and not ${isHeld}), 0) as due,
             coalesce(sum(last_log_id - first_log_id + 1) filter (where due_at > $1 or ${isHeld}), 0) as later,
             min(due_at) filter (where due_at <= $1 and not ${isHeld}) as oldest
        from send_chunks where done_at is null group by lane, message_id
    )
    select o.lane, sum(least(o.due, c.queued))::bigint as due,
           sum(least(o.later, greatest(0, c.queued - o.due)))::bigint as later,
           coalesce(extract(epoch from $1 - min(o.oldest)), 0)::float8 as "oldestDueSeconds"
      from open o cross join ${totalsOf('o.message_id')} c
     group by o.lane`,
    [now],
  )
}

export type OpenRows = { kind: string; queued: number; submitting: number; sent: number; unknown: number }

/** Returns the numbers of recipients of messages that are being sent, by kind and state. */
export function measureOpenMessages(db: Db) {
  return db.many<OpenRows>(
    'measure_open_messages',
    /* sql */ `
    select m.kind, sum(c.queued)::bigint as queued, sum(c.submitting)::bigint as submitting, sum(c.sent)::bigint as sent,
           sum(c.unknown)::bigint as unknown
      from messages m cross join ${totalsOf('m.id')} c
     where m.status = 'sending' group by m.kind`,
  )
}

/** Returns the number of receipts that do not match a text yet. */
export async function countWaitingReceipts(db: Db): Promise<number> {
  const { count } = await db.one<{ count: number }>(
    'count_waiting_receipts',
    /* sql */ `select count(*) from receipts where outcome = 'waiting'`,
  )
  return count
}

/** Returns the numbers of bound and unbound bind slots by connection. */
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
