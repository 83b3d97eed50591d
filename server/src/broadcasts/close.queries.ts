import type { Db } from '../db/db.ts'
import { logTable } from '../db/log-days.ts'
import { rowsOfChunks } from './chunk-rows.sql.ts'

export type Overdue = { messageId: number; loggedOn: string }

/** Messages that were sent, or cancelled on the way, before `before` and may still wait for receipts, the oldest first. */
export function listOverdue(db: Db, before: Date) {
  return db.many<Overdue>(
    'list_overdue',
    /* sql */ `
    select id as "messageId", logged_on as "loggedOn" from (
      select id, logged_on, sent_at as ended_at from messages
       where status = 'sent' and closed_at is null and sent_at < $1
      union all
      select m.id, m.logged_on, m.cancelled_at from messages m join message_counters c on c.message_id = m.id
       where m.status = 'cancelled' and m.closed_at is null and m.cancelled_at < $1
         -- a gateway still has to say what it left in the middle
         and c.queued = 0 and c.submitting = 0
    ) ended
     order by ended_at limit 20`,
    [before],
  )
}

/** Closes as expired what is still sent in the message's next chunks after `afterLogId`; undefined at the end. */
export async function expireChunks(
  db: Db,
  overdue: Overdue,
  afterLogId: number,
  at: Date,
): Promise<number | undefined> {
  const { last } = await db.one<{ last: number | null }>(
    `expire_chunks_${overdue.loggedOn}`,
    /* sql */ `
    with chunks as materialized (
      select first_log_id, last_log_id from send_chunks
       where message_id = $1 and first_log_id > $2 order by first_log_id limit 5
    ), moved as (
      update ${logTable(overdue.loggedOn)} l set state = 'expired', reason = 'no_receipt', closed_at = $3
       where l.state = 'sent' and l.id = any(${rowsOfChunks(overdue.loggedOn, 'sent')})
      returning 1
    ), counted as (
      update message_counters c set sent = c.sent - t.n, expired = c.expired + t.n
        from (select count(*) as n from moved) t where c.message_id = $1 and t.n > 0
    )
    select max(last_log_id) as last from chunks`,
    [overdue.messageId, afterLogId, at],
  )
  return last ?? undefined
}

/** Ends a message: no receipt is waited for any more. Its chunks have done their duty and go. */
export async function closeMessage(db: Db, messageId: number, at: Date): Promise<boolean> {
  const rows = await db.exec(
    'close_message',
    /* sql */ `
    with closed as (
      update messages m set closed_at = $2 from message_counters c
       where m.id = $1 and m.closed_at is null and c.message_id = m.id and c.sent = 0
      returning m.id
    )
    delete from send_chunks where message_id in (select id from closed)`,
    [messageId, at],
  )
  return rows > 0
}

/** Makes the log's partitions of these days (YYYY-MM-DD) where they are missing. */
export async function ensureLogDays(db: Db, days: string[]): Promise<void> {
  await db.exec('ensure_log_days', /* sql */ `select ensure_log_day(day::date) from unnest($1::text[]) as day`, [days])
}
