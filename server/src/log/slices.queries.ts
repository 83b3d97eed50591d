import type { Db } from '../db/db.ts'
import { param, type Sql, sql } from '../db/sql.ts'
import { countMoves } from './counters.sql.ts'
import { logTable } from './log-days.ts'
import { to } from './transitions.ts'

export type RecipientSlice = {
  messageId: number
  loggedOn: string
  /** Maximum number of subscribers to read. */
  rows: number
  partCount: number
  dueAt: Date
  lane: number
  chunkRows: number
}

/**
 * The CTEs `audience` (phone, subscribed), the next recipients in the order of their phones, and `progress` (rows,
 * last_phone), the subscribers that were read; `name` tells statements with different CTEs apart.
 */
export type SliceAudience = { name: string; ctes: Sql }

/**
 * Writes the next recipients after the cursor, in the order of their phones, with their chunks and counters, and
 * advances the cursor, all in one statement. Returns how many were written, and whether the end of the list was
 * reached. Subscribers who opted out after the audience was taken belong to it and are written as suppressed.
 */
export async function writeSlice(
  tx: Db,
  slice: RecipientSlice,
  audience: SliceAudience,
): Promise<{ written: number; ended: boolean }> {
  const messageId = param(slice.messageId)
  const loggedOn = param(slice.loggedOn)
  const dueAt = param(slice.dueAt)
  const chunkRows = param(slice.chunkRows)
  const { written, read } = await tx.one<{ written: number; read: number }>(
    `write_slice_${audience.name}_${slice.loggedOn}`,
    sql`
    with block as materialized (
      select nextval('message_log_blocks') * 16384 as first_id
    ), ${audience.ctes}, numbered as materialized (
      select phone, subscribed, row_number() over (order by phone) - 1 as n from audience
    ), logged as (
      insert into ${logTable(slice.loggedOn)} (id, logged_on, message_id, phone, state, reason, part_count, closed_at)
      select block.first_id + n, ${loggedOn}::date, ${messageId}::bigint, phone,
             case when subscribed then ${to('enqueue')} else ${to('exclude')} end::message_state,
             case when not subscribed then 'opted_out' end, ${slice.partCount}::smallint,
             case when not subscribed then ${dueAt}::timestamptz end
        from numbered, block
       order by n
    ), chunks as (
      insert into send_chunks (message_id, short_code_id, paused, logged_on, lane, due_at, first_log_id, last_log_id)
      select ${messageId}::bigint, (select short_code_id from messages where id = ${messageId}),
             (select paused_at is not null from messages where id = ${messageId}), ${loggedOn}::date,
             ${slice.lane}::smallint, ${dueAt}::timestamptz, block.first_id + min(n), block.first_id + max(n)
        from numbered, block
       group by n / ${chunkRows}::bigint, block.first_id
       order by n / ${chunkRows}::bigint
    ), entered as (
      select ${messageId}::bigint as message_id,
             case when subscribed then ${to('enqueue')} else ${to('exclude')} end as state from numbered
    ), counted as (${countMoves(['enqueue', 'exclude'], { moved: 'entered' })}
    ), advanced as (
      update expansions e set cursor_phone = p.last_phone from progress p where e.message_id = ${messageId} and p.rows > 0
    )
    select (select count(*) from numbered) as written, progress.rows as read from progress`,
  )
  return { written, ended: read < slice.rows }
}

/** Ends the expansion of a message whose whole audience is written. */
export async function endExpansion(tx: Db, messageId: number, at: Date) {
  await tx.exec(
    'end_expansion',
    /* sql */ `
    with ended as (delete from expansions where message_id = $1 returning message_id)
    update messages set expanded_at = $2 where id in (select message_id from ended)`,
    [messageId, at],
  )
}
