import type { Db } from '../db/db.ts'
import { param, sql } from '../db/sql.ts'
import { rowsOfChunks } from './chunk-rows.sql.ts'
import { countMoves, totalsOf } from './counters.sql.ts'
import { ofRound } from './failures.sql.ts'
import { logTable } from './log-days.ts'
import type { SuppressionReason } from './reasons.ts'
import { from, to } from './transitions.ts'

export type ClosedChunk = { id: number; messageId: number; loggedOn: string; location: string | null }

/**
 * Locks up to 200 open chunks whose window has closed and that no gateway has leased, one of each short code before a
 * second one of any, in the order of their closing: of messages whose reopening has not failed, or only of this one. Skips
 * those that another worker has locked.
 */
export function claimClosedChunks(tx: Db, now: Date, only: number | null) {
  return tx.many<ClosedChunk>(
    'claim_closed_chunks',
    /* sql */ `
    with closed as (
      select id, closes_at, row_number() over (partition by short_code_id order by closes_at, id) as turn
        from send_chunks
       where done_at is null and closes_at <= $1 and (lease_until is null or lease_until < clock_timestamp())
         and ${ofRound('reopen', 'message_id', 2)}
    ), chosen as materialized (
      -- more than the limit, because another worker may have locked some of them
      select array(select id from closed order by turn, closes_at, id limit 400) as ids
    )
    select id, message_id as "messageId", logged_on as "loggedOn", location
      from send_chunks
     where id = any((select ids from chosen)::bigint[])
       and done_at is null and closes_at <= $1 and (lease_until is null or lease_until < clock_timestamp())
     order by array_position((select ids from chosen), id) limit 200
       for update skip locked`,
    [now, only],
  )
}

export type ChunkWindow = { id: number; dueAt: Date; closesAt: Date | null }

/**
 * Sets the next windows of chunks that the transaction has locked. The new epoch prevents a gateway whose lease has
 * expired from requeuing rows that it marked in the old window.
 */
export async function reopenChunks(tx: Db, windows: ChunkWindow[]) {
  await tx.exec(
    'reopen_chunks',
    /* sql */ `
    update send_chunks c set due_at = r.due_at, closes_at = r.closes_at, epoch = c.epoch + 1
      from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) as r(id, due_at, closes_at)
     where c.id = r.id and c.id = any($1::bigint[])`,
    [windows.map((each) => each.id), windows.map((each) => each.dueAt), windows.map((each) => each.closesAt)],
  )
}

/** Suppresses the queued rows in these chunks of a message. */
export async function suppressChunks(
  tx: Db,
  message: { messageId: number; loggedOn: string },
  chunkIds: number[],
  reason: Extract<SuppressionReason, 'too_late' | 'no_window'>,
  at: Date,
): Promise<void> {
  const { messageId, loggedOn } = message
  await tx.exec(
    `suppress_chunks_${loggedOn}`,
    sql`
    with chunks as materialized (
      select first_log_id, last_log_id from send_chunks where id = any(${chunkIds}::bigint[])
       order by first_log_id
    ), moved as (
      update ${logTable(loggedOn)} l set state = ${to('suppress')}, reason = ${reason}, closed_at = ${at}
       where l.state = ${from('suppress')} and l.id = any(${rowsOfChunks(loggedOn, param(messageId), 'queued')})
      returning l.message_id
    )
${countMoves(['suppress'])}`,
  )
}

export type LateMessage = { messageId: number; loggedOn: string }

/**
 * Returns up to 100 messages past their deadline with queued rows, whose suppressing has not failed, or only this one:
 * three of each account, in turns.
 */
export function listLate(db: Db, now: Date, only: number | null) {
  return db.many<LateMessage>(
    'list_late',
    /* sql */ `
    select id as "messageId", logged_on as "loggedOn" from (
      select m.id, m.logged_on, m.account_id,
             row_number() over (partition by m.account_id order by m.deliver_by, m.id) as turn
        from messages m cross join ${totalsOf('m.id')} c
       where m.status = 'sending' and m.deliver_by <= $1 and c.queued > 0 and ${ofRound('suppress', 'm.id', 2)}
    ) late
     where turn <= 3
     order by turn, account_id limit 100`,
    [now, only],
  )
}

/** Returns the message's next chunks after `afterLogId`. */
export function listChunksAfter(db: Db, messageId: number, afterLogId: number, limit: number) {
  return db.many<{ id: number; lastLogId: number }>(
    'list_chunks_after',
    /* sql */ `
    select id, last_log_id as "lastLogId" from send_chunks
     where message_id = $1 and first_log_id > $2 order by first_log_id limit $3`,
    [messageId, afterLogId, limit],
  )
}
