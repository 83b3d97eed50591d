import type { Db } from '../db/db.ts'
import { rowsOfChunks } from './chunk-rows.sql.ts'
import { logTable } from './log-days.ts'

export type Cancelled = { messageId: number; loggedOn: string }

/** Cancelled messages of which somebody is still queued. */
export function listCancelledQueued(db: Db) {
  return db.many<Cancelled>(
    'list_cancelled_queued',
    /* sql */ `
    select m.id as "messageId", m.logged_on as "loggedOn"
      from messages m join message_counters c on c.message_id = m.id
     where m.status = 'cancelled' and m.closed_at is null and c.queued > 0
     order by m.id limit 20`,
  )
}

/** Moves who is queued in the message's next chunks to cancelled, and answers where to go on; undefined at the end. */
export async function cancelChunks(
  db: Db,
  { messageId, loggedOn }: Cancelled,
  afterLogId: number,
  at: Date,
): Promise<number | undefined> {
  const { last } = await db.one<{ last: number | null }>(
    `cancel_chunks_${loggedOn}`,
    /* sql */ `
    with chunks as materialized (
      select first_log_id, last_log_id from send_chunks
       where message_id = $1 and first_log_id > $2 order by first_log_id limit 5
    ), moved as (
      update ${logTable(loggedOn)} l set state = 'cancelled', closed_at = $3
       where l.state = 'queued' and l.id = any(${rowsOfChunks(loggedOn, 'queued')})
      returning 1
    ), counted as (
      update message_counters c set queued = c.queued - t.n, cancelled = c.cancelled + t.n
        from (select count(*) as n from moved) t where c.message_id = $1 and t.n > 0
    )
    select max(last_log_id) as last from chunks`,
    [messageId, afterLogId, at],
  )
  return last ?? undefined
}

/** Ends the writing of a message's audience; waits for a slice under way. */
export async function deleteExpansion(tx: Db, listId: number, messageId: number) {
  await tx.exec(
    'delete_expansion',
    /* sql */ `
    delete from expansions e using messages m where e.message_id = $1 and m.id = $1 and m.list_id = $2`,
    [messageId, listId],
  )
}

/** Whether a gateway may be writing texts of this message right now, or waits for the answer to them. */
export async function isOnItsWay(db: Db, messageId: number): Promise<boolean> {
  const { moving } = await db.one<{ moving: boolean }>(
    'is_on_its_way',
    /* sql */ `
    select c.submitting > 0
           -- past its lease nobody writes it any more, even if nobody has come yet to call it unknown
           and exists (select from send_chunks k
                        where k.message_id = $1 and k.done_at is null and k.lease_until > clock_timestamp()) as moving
      from message_counters c where c.message_id = $1`,
    [messageId],
  )
  return moving
}
