import type { Db } from '../db/db.ts'
import { param, sql } from '../db/sql.ts'
import { wasReceived } from '../subscribers/received.sql.ts'
import type { MessageAtDeadline } from './close.queries.ts'
import { mayHaveArrived } from './last-texts.sql.ts'
import { logTable } from './log-days.ts'

/** Chunks of which one statement counts the texts. */
const chunksAtOnce = 5

/** Returns the log id up to which the received texts of a message are counted in `received_counts`; 0 if none are. */
export async function findReceivedThrough(db: Db, messageId: number): Promise<number> {
  const { through } = await db.one<{ through: number }>(
    'find_received_through',
    /* sql */ `select received_through as through from messages where id = $1`,
    [messageId],
  )
  return through
}

/**
 * Adds the received texts of the message's next five chunks after a log id to `received_counts`, as the last ones of their numbers,
 * and moves `received_through` in the same statement, so that each text is counted once. Only those of a broadcast add to the number
 * of messages. Returns the last log id of these chunks, null if none is left or another worker has counted them.
 */
export async function countReceived(
  db: Db,
  { messageId: id, loggedOn, requeuedAt }: MessageAtDeadline,
  afterLogId: number,
): Promise<number | null> {
  const [messageId, after] = [param(id), param(afterLogId)]
  const { last } = await db.one<{ last: number | null }>(
    `count_received_${loggedOn}`,
    sql`
    with chunks as materialized (
      -- the chunk of a text that was retried later is within the range of another one
      select first_log_id, last_log_id from send_chunks
       where message_id = ${messageId} and first_log_id > ${after}::bigint order by first_log_id limit ${chunksAtOnce}
    ), moved as (
      update messages m set received_through = (select max(last_log_id) from chunks)
       where m.id = ${messageId} and m.received_through = ${after} and m.closed_at is null and m.status <> 'sending'
         and m.requeued_at is not distinct from ${requeuedAt} and exists (select from chunks)
      returning m.list_id, m.kind, m.accepted_at, m.received_through
    ), counted as (
      insert into received_counts as r (list_id, phone, messages, last_message_id, last_submitted_at)
      select moved.list_id, l.phone, count(distinct l.id) filter (where l.is_received and moved.kind = 'broadcast'),
             ${messageId}, max(coalesce(l.submitted_at, moved.accepted_at))
        from moved
       cross join chunks c
       cross join lateral (
         select g.id, g.phone, g.submitted_at, ${wasReceived('g')} as is_received from ${logTable(loggedOn)} g
          where g.id between c.first_log_id and c.last_log_id and g.message_id = ${messageId} and ${mayHaveArrived('g')}
         offset 0) l
       group by moved.list_id, l.phone order by l.phone
          on conflict (list_id, phone) do update
         set messages = r.messages + excluded.messages,
             last_message_id = case when r.last_submitted_at > excluded.last_submitted_at then r.last_message_id
                                    else excluded.last_message_id end,
             last_submitted_at = greatest(r.last_submitted_at, excluded.last_submitted_at)
    )
    select (select received_through from moved) as last`,
  )
  return last
}
