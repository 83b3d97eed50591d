import type { Db } from '../db/db.ts'
import { logTable } from '../db/log-days.ts'
import type { Audience } from '../messages/audience.ts'
import { audienceRows } from './audience.sql.ts'

export type OpenExpansion = { messageId: number }

/** Messages whose audience is not all written, those with the least written first. */
export function listOpenExpansions(db: Db) {
  return db.many<OpenExpansion>(
    'list_open_expansions',
    /* sql */ `select message_id as "messageId" from expansions order by cursor_phone, message_id limit 100`,
  )
}

export type Cursor = {
  cursorPhone: number
  listId: number
  loggedOn: string
  /** Who is subscribed at this moment is the audience: when it was accepted, or when it was due. */
  audienceAt: Date
  partCount: number
  /** Only those of the list's subscribers who pass the message's tests. */
  isFiltered: boolean
  audience: Audience | null
  content: string
  maxParts: number | null
}

/** Locks an expansion for the length of the transaction; undefined when another worker has it, or it is done. */
export function claimExpansion(tx: Db, messageId: number) {
  return tx.maybeOne<Cursor>(
    'claim_expansion',
    /* sql */ `
    select e.cursor_phone as "cursorPhone", m.list_id as "listId", m.logged_on as "loggedOn",
           coalesce(m.starts_at, m.accepted_at) as "audienceAt", m.part_count as "partCount",
           m.audience is not null as "isFiltered", m.audience, m.content, m.max_parts as "maxParts"
      from expansions e join messages m on m.id = e.message_id
     where e.message_id = $1
       for update of e skip locked`,
    [messageId],
  )
}

export type SliceInput = Cursor & { messageId: number; rows: number; chunkRows: number; lane: number; dueAt: Date }

/**
 * Writes the next recipients after the cursor, in the order of their phones, with their chunks and counters, and
 * moves the cursor: all in one statement. Says how many were written, and whether that was the end of the list.
 * Who left after the audience's moment belongs to it and is written as suppressed.
 */
export async function writeSlice(tx: Db, slice: SliceInput): Promise<{ written: number; ended: boolean }> {
  const { written, passed } = await tx.one<{ written: number; passed: number }>(
    `write_slice_${slice.isFiltered ? 'filtered_' : ''}${slice.loggedOn}`,
    /* sql */ `
    with block as materialized (
      select nextval('message_log_blocks') * 16384 as first_id
    ), ${audienceRows(slice.isFiltered ? `(select audience from messages where id = $1)` : undefined)}, numbered as materialized (
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
