import type { Db } from '../db/db.ts'
import { logTable } from './log-days.ts'

export type SliceInput = {
  messageId: number
  listId: number
  cursorPhone: number
  audienceAt: Date
  /** Subscribers to look at. */
  rows: number
  loggedOn: string
  partCount: number
  dueAt: Date
  lane: number
  chunkRows: number
}

/** The CTEs `audience` and `passed` of the next subscribers, over the parameters $2 to $5, and a name for them. */
export type AudienceCtes = { name: string; ctes: string }

/**
 * Writes the next recipients after the cursor, in the order of their phones, with their chunks and counters, and
 * moves the cursor: all in one statement. Says how many were written, and whether that was the end of the list.
 * Who left after the audience's moment belongs to it and is written as suppressed.
 */
export async function writeSlice(
  tx: Db,
  slice: SliceInput,
  audience: AudienceCtes,
): Promise<{ written: number; ended: boolean }> {
  const { written, passed } = await tx.one<{ written: number; passed: number }>(
    `write_slice_${audience.name}_${slice.loggedOn}`,
    /* sql */ `
    with block as materialized (
      select nextval('message_log_blocks') * 16384 as first_id
    ), ${audience.ctes}, numbered as materialized (
      select phone, subscribed, row_number() over (order by phone) - 1 as n from audience
    ), logged as (
      insert into ${logTable(slice.loggedOn)} (id, logged_on, message_id, phone, state, reason, part_count, closed_at)
      select block.first_id + n, $6::date, $1, phone,
             case when subscribed then 'queued' else 'suppressed' end::message_state,
             case when not subscribed then 'opted_out' end, $7,
             case when not subscribed then $8::timestamptz end
        from numbered, block
       order by n
    ), chunks as (
      insert into send_chunks (message_id, short_code_id, paused, logged_on, lane, due_at, first_log_id, last_log_id)
      select $1, (select short_code_id from messages where id = $1),
             (select paused_at is not null from messages where id = $1), $6::date, $9, $8,
             block.first_id + min(n), block.first_id + max(n)
        from numbered, block
       group by n / $10::bigint, block.first_id
       order by n / $10::bigint
    ), total as (
      select count(*) as written, count(*) filter (where subscribed) as queued from numbered
    ), counted as (
      update message_counters c
         set audience = c.audience + t.written, queued = c.queued + t.queued,
             suppressed = c.suppressed + t.written - t.queued
        from total t where c.message_id = $1 and t.written > 0
    ), moved as (
      update expansions e set cursor_phone = p.last_phone from passed p where e.message_id = $1 and p.rows > 0
    )
    select written, passed.rows as passed from total, passed`,
    [
      slice.messageId,
      slice.listId,
      slice.cursorPhone,
      slice.audienceAt,
      slice.rows,
      slice.loggedOn,
      slice.partCount,
      slice.dueAt,
      slice.lane,
      slice.chunkRows,
    ],
  )
  return { written, ended: passed < slice.rows }
}

/** The audience is all written. */
export async function endExpansion(tx: Db, messageId: number, at: Date) {
  await tx.exec(
    'end_expansion',
    /* sql */ `
    with ended as (delete from expansions where message_id = $1 returning message_id)
    update messages set expanded_at = $2 where id in (select message_id from ended)`,
    [messageId, at],
  )
}
