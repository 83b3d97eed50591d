import type { Db } from '../db/db.ts'
import { param, sql } from '../db/sql.ts'
import { mayHaveOpenRows } from './cancelled.sql.ts'
import { rowsOfChunks } from './chunk-rows.sql.ts'
import { countMoves, totalsOf } from './counters.sql.ts'
import { ofRound } from './failures.sql.ts'
import { logTable } from './log-days.ts'
import { from, to } from './transitions.ts'

export type CancelledMessage = { messageId: number; loggedOn: string }

/**
 * Returns up to 100 cancelled messages with queued rows, whose cancelling has not failed, or only this one: three of each
 * account, in turns.
 */
export function listCancelledQueued(db: Db, only: number | null) {
  return db.many<CancelledMessage>(
    'list_cancelled_queued',
    /* sql */ `
    select id as "messageId", logged_on as "loggedOn" from (
      select m.id, m.logged_on, m.account_id, row_number() over (partition by m.account_id order by m.id) as turn
        from messages m cross join ${totalsOf('m.id')} c
       where ${mayHaveOpenRows('m')} and c.queued > 0 and ${ofRound('cancel', 'm.id', 1)}
    ) cancelled
     where turn <= 3
     order by turn, account_id limit 100`,
    [only],
  )
}

/**
 * Cancels the queued rows of the message's next five chunks; returns their last log id, or undefined if none is left.
 */
export async function cancelChunks(
  db: Db,
  { messageId, loggedOn }: CancelledMessage,
  afterLogId: number,
  at: Date,
): Promise<number | undefined> {
  const id = param(messageId)
  const { last } = await db.one<{ last: number | null }>(
    `cancel_chunks_${loggedOn}`,
    sql`
    with chunks as materialized (
      select first_log_id, last_log_id from send_chunks
       where message_id = ${id} and first_log_id > ${afterLogId} order by first_log_id limit 5
    ), moved as (
      update ${logTable(loggedOn)} l set state = ${to('cancel')}, closed_at = ${at}
       where l.state = ${from('cancel')} and l.id = any(${rowsOfChunks(loggedOn, id, 'queued')})
      returning l.message_id
    ), counted as (
${countMoves(['cancel'])}
    )
    select max(last_log_id) as last from chunks`,
  )
  return last ?? undefined
}

/** Ends the expansion of a message; waits for a slice that is being written. */
export async function deleteExpansion(tx: Db, listId: number, messageId: number) {
  await tx.exec(
    'delete_expansion',
    /* sql */ `
    delete from expansions e using messages m where e.message_id = $1 and m.id = $1 and m.list_id = $2`,
    [messageId, listId],
  )
}

/** Ends the expansions of all messages of a list; waits for slices that are being written. */
export async function deleteExpansionsOfList(tx: Db, listId: number) {
  await tx.exec(
    'delete_expansions_of_list',
    /* sql */ `
    with open as materialized (
      select e.message_id from expansions e join messages m on m.id = e.message_id
       where m.list_id = $1 order by e.message_id for update of e
    )
    delete from expansions e using open where e.message_id = open.message_id`,
    [listId],
  )
}

/** Returns whether a gateway may be sending texts of this message now, or is waiting for their responses. */
export async function hasSubmittingTexts(db: Db, messageId: number): Promise<boolean> {
  const { submitting } = await db.one<{ submitting: boolean }>(
    'has_submitting_texts',
    /* sql */ `
    select c.submitting > 0
           -- no gateway submits a row after its lease has expired, even if it has not been marked as unknown yet
           and exists (select from send_chunks k
                        where k.message_id = $1 and k.done_at is null and k.lease_until > clock_timestamp()) as submitting
      from message_totals c where c.message_id = $1`,
    [messageId],
  )
  return submitting
}
