import type { Db } from '../db/db.ts'
import { param, type Sql, sql } from '../db/sql.ts'
import { rowsOfChunks } from './chunk-rows.sql.ts'
import { countMoves } from './counters.sql.ts'
import { logTable, submitsTable } from './log-days.ts'
import { from, to } from './transitions.ts'

/** A message at its receipt deadline. */
export type MessageAtDeadline = {
  messageId: number
  loggedOn: string
  /** When its unknown texts were last requeued. */
  requeuedAt: Date | null
}

// Another worker may have processed the same message already: then its texts have been requeued, or it has been sent
// again.
const isOverdue = (messageId: Sql, { requeuedAt }: MessageAtDeadline) => sql`
      exists (select from messages where id = ${messageId} and status <> 'sending'
                 and requeued_at is not distinct from ${requeuedAt})`

/**
 * Expires the sent rows of the message's next five chunks after `afterLogId`; returns the last log id of these chunks, null if
 * none is left, the number of expired texts in parts, and of those with a receipt for exactly one part, with some of their ids.
 */
export async function expireChunks(
  db: Db,
  overdue: MessageAtDeadline,
  afterLogId: number,
  at: Date,
): Promise<{ last: number | null; inParts: number; withOneReceipt: number; sample: number[] }> {
  const messageId = param(overdue.messageId)
  return db.one(
    `expire_chunks_${overdue.loggedOn}`,
    sql`
    with chunks as materialized (
      select first_log_id, last_log_id from send_chunks
       where message_id = ${messageId} and first_log_id > ${afterLogId} order by first_log_id limit 5
    ), moved as (
      update ${logTable(overdue.loggedOn)} l set state = ${to('close')}, reason = 'no_receipt', closed_at = ${at}
       where l.state = ${from('close')} and l.id = any(${rowsOfChunks(overdue.loggedOn, messageId, 'sent')})
         and ${isOverdue(messageId, overdue)}
      returning l.id, l.message_id, l.part_count, l.parts_delivered
    ), with_one_receipt as (
      select id from moved
       where part_count > 1 and parts_delivered <> 0 and parts_delivered & (parts_delivered - 1) = 0
    ), counted as (
${countMoves(['close'])}
    )
    select max(last_log_id) as last,
           (select count(*) from moved where part_count > 1) as "inParts",
           (select count(*) from with_one_receipt) as "withOneReceipt",
           array(select id from with_one_receipt limit 20) as sample
      from chunks`,
  )
}

/** Returns the connections through which these texts of a day were sent. */
export async function listConnectionsOf(db: Db, day: string, logIds: number[]): Promise<number[]> {
  const rows = await db.many<{ id: number }>(
    `list_connections_of_${day}`,
    /* sql */ `
    select distinct connection_id as id from ${submitsTable(day)}
     where log_id between $1 and $2 and log_id = any($3::bigint[]) and connection_id is not null`,
    [Math.min(...logIds), Math.max(...logIds), logIds],
  )
  return rows.map(({ id }) => id)
}

/**
 * Returns the unknown rows of the message's next five chunks after `afterLogId`, and the last log id of these chunks,
 * null if none is left.
 */
export async function listUnknown(db: Db, overdue: MessageAtDeadline, afterLogId: number) {
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
 * Requeues these unknown texts, each at most once, and reopens their chunks; returns their number. As for any queued
 * text, the mark checks consent, cancellation, deadline and quiet hours.
 */
export async function requeueUnknown(tx: Db, overdue: MessageAtDeadline, ids: number[], at: Date): Promise<number> {
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
    ), reopened as (
      update send_chunks c
         set done_at = null, leased_by = null, lease_until = null, due_at = ${time},
             -- a chunk with a location is closed at first, so that a worker sets its next window before any text is
             -- sent
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

/**
 * Closes a message at its receipt deadline and replaces its chunks by the ranges of their log ids; returns false if rows in state
 * `sent`, or received texts of a list's message that are not counted, remain. The ids of a block of 16,384 belong to one message, so the
 * chunks of consecutive blocks are one range.
 */
export async function closeMessage(db: Db, overdue: MessageAtDeadline, at: Date): Promise<boolean> {
  const rows = await db.exec(
    'close_message',
    /* sql */ `
    with closed as (
      update messages m set closed_at = $2
       where m.id = $1 and m.status <> 'sending' and m.closed_at is null and m.requeued_at is not distinct from $3
         and (select sent from message_totals where message_id = $1) = 0
         and (m.list_id is null or m.kind = 'system'
              or not exists (select from send_chunks where message_id = $1 and first_log_id > m.received_through))
      returning m.id, m.phone
    ), blocks as (
      select c.message_id, c.first_log_id / 16384 as block, min(c.first_log_id) as first, max(c.last_log_id) as last
        from closed m join send_chunks c on c.message_id = m.id
       where m.phone is null
       group by c.message_id, block
    ), ranges as (
      insert into message_ranges (message_id, first_log_id, last_log_id)
      select message_id, min(first), max(last)
        from (select *, block - row_number() over (order by block) as run from blocks) b
       group by message_id, run
    )
    delete from send_chunks where message_id in (select id from closed)`,
    [overdue.messageId, at, overdue.requeuedAt],
  )
  return rows > 0
}
