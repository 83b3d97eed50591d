import type { Db } from '../db/db.ts'
import { type Chunk, ownChunkId } from './chunk.ts'
import { countMoves } from './counters.sql.ts'
import { logTable } from './log-days.ts'
import { from, to } from './transitions.ts'

/**
 * Requeues these submitting texts of a chunk, due at `dueAt`, in a new chunk with the window of the old one. Returns
 * their number; 0 if the chunk has a newer epoch, or if they were requeued before.
 */
export async function queueForLater(db: Db, chunk: Chunk, ids: number[], dueAt: Date): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    `queue_for_later_${chunk.loggedOn}`,
    /* sql */ `
    with leased as materialized (
      select c.message_id, c.short_code_id, c.logged_on, c.lane, c.closes_at, c.location, c.attempt,
             nextval(pg_get_serial_sequence('send_chunks', 'id')) as next_id,
             (select paused_at is not null from messages where id = c.message_id) as paused
        from send_chunks c
       where c.id = $1 and c.epoch = $2
         for share of c
    ), moved as (
      update ${logTable(chunk.loggedOn)} l
         set state = ${to('retryLater')}, submitted_at = null, chunk_id = (select next_id from leased)
       where l.id = any($3::bigint[]) and l.state = ${from('retryLater')} and exists (select from leased)
         -- if this runs twice, the row may be submitting again by now, as part of the new chunk
         and l.chunk_id is not distinct from $5
      returning l.id, l.message_id
    ), added as (
      insert into send_chunks (id, message_id, short_code_id, logged_on, lane, due_at, closes_at, location, paused,
                               first_log_id, last_log_id, attempt)
      overriding system value
      select o.next_id, o.message_id, o.short_code_id, o.logged_on, o.lane, $4, o.closes_at, o.location, o.paused,
             r.first, r.last, o.attempt + 1
        from leased o, (select min(id) as first, max(id) as last from moved) r
       where r.first is not null
    ), counted as (${countMoves(['retryLater'])}
    )
    select count(*) as n from moved`,
    [chunk.id, chunk.epoch, ids, dueAt, ownChunkId(chunk)],
  )
  return n
}
