import type { Db } from '../db/db.ts'
import { param, type Sql, sql } from '../db/sql.ts'
import { rowsOfChunks } from './chunk-rows.sql.ts'
import { countMoves } from './counters.sql.ts'
import { logTable } from './log-days.ts'
import { from, to } from './transitions.ts'

/** A message at its receipt deadline. */
export type Overdue = {
  messageId: number
  loggedOn: string
  /** When its unknown texts were last queued again. */
  requeuedAt: Date | null
}

// Another worker may be ahead with the same message: then it is being sent again, or was.
const isOverdue = (messageId: Sql, { requeuedAt }: Overdue) => sql`
      exists (select from messages where id = ${messageId} and status <> 'sending'
                 and requeued_at is not distinct from ${requeuedAt})`

/** Expires the sent rows of the message's next chunks after `afterLogId`; returns their last log id, undefined at the end. */
export async function expireChunks(
  db: Db,
  overdue: Overdue,
  afterLogId: number,
  at: Date,
): Promise<number | undefined> {
  const messageId = param(overdue.messageId)
  const { last } = await db.one<{ last: number | null }>(
    `expire_chunks_${overdue.loggedOn}`,
    sql`
    with chunks as materialized (
      select first_log_id, last_log_id from send_chunks
       where message_id = ${messageId} and first_log_id > ${afterLogId} order by first_log_id limit 5
    ), moved as (
      update ${logTable(overdue.loggedOn)} l set state = ${to('close')}, reason = 'no_receipt', closed_at = ${at}
       where l.state = ${from('close')} and l.id = any(${rowsOfChunks(overdue.loggedOn, messageId, 'sent')})
         and ${isOverdue(messageId, overdue)}
      returning l.message_id
    ), counted as (
${countMoves(['close'])}
    )
    select max(last_log_id) as last from chunks`,
  )
  return last ?? undefined
}

/** The unknown rows of the message's next chunks after `afterLogId`, and the last log id of these chunks; null at the end. */
export async function listUnknown(db: Db, overdue: Overdue, afterLogId: number) {
  const messageId = param(overdue.messageId)
  return db.one<{ ids: number[]; last: number | null }>(
    `list_unknown_${overdue.loggedOn}`,
    sql`
    with chunks as materialized (
      select first_log_id, last_log_id from send_chunks
       where message_id = ${messageId} and first_log_id > ${afterLogId} order by first_log_id limit 5
    )
    select ${rowsOfChunks(overdue.loggedOn, messageId, 'unknown')} as ids, max(last_log_id) as last from chunks`,
  )
}

/**
 * Queues these unknown texts again, each at most once, and reopens their chunks; returns their number. The marks check
 * consent, cancelling, deadline and quiet hours as for any queued text.
 */
export async function requeueUnknown(tx: Db, overdue: Overdue, ids: number[], at: Date): Promise<number> {
  const messageId = param(overdue.messageId)
  const time = param(at)
  const { n } = await tx.one<{ n: number }>(
    `requeue_unknown_${overdue.loggedOn}`,
    sql`
    with moved as (
      update ${logTable(overdue.loggedOn)} l
         set state = ${to('requeue')}, requeued_at = ${time}, submitted_at = null, carrier_status = null
       where l.id = any(${ids}::bigint[]) and l.state = ${from('requeue')} and l.requeued_at is null
      returning l.id, l.message_id
    ), opened as (
      update send_chunks c
         set done_at = null, leased_by = null, lease_until = null, due_at = ${time},
             -- where there are windows, a worker finds the next one before anybody is texted
             closes_at = case when c.location is not null then least(c.closes_at, ${time}) end
       where c.message_id = ${messageId}
         and exists (select from moved where moved.id between c.first_log_id and c.last_log_id)
    ), counted as (
${countMoves(['requeue'])}
    ), resumed as (
      update messages set status = 'sending', requeued_at = ${time} where id = ${messageId} and exists (select from moved)
    )
    select count(*) as n from moved`,
  )
  return n
}

/** Closes a message at its receipt deadline, and deletes its chunks; returns false when rows are still sent. */
export async function closeMessage(db: Db, overdue: Overdue, at: Date): Promise<boolean> {
  const rows = await db.exec(
    'close_message',
    /* sql */ `
    with closed as (
      update messages m set closed_at = $2
       where m.id = $1 and m.status <> 'sending' and m.closed_at is null and m.requeued_at is not distinct from $3
         and (select sent from message_totals where message_id = $1) = 0
      returning m.id
    )
    delete from send_chunks where message_id in (select id from closed)`,
    [overdue.messageId, at, overdue.requeuedAt],
  )
  return rows > 0
}
