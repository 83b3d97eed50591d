import type { Db } from '../db/db.ts'
import { logTable } from '../db/log-days.ts'

export type OpenExpansion = { messageId: number }

/** Messages whose audience is not all written, those with the least written first. */
export function listOpenExpansions(db: Db) {
  return db.many<OpenExpansion>(
    'list_open_expansions',
    /* sql */ `select message_id as "messageId" from expansions order by cursor_phone, message_id limit 100`,
  )
}

export type Cursor = { cursorPhone: number; listId: number; loggedOn: string; acceptedAt: Date; partCount: number }

/** Locks an expansion for the length of the transaction; undefined when another worker has it, or it is done. */
export function claimExpansion(tx: Db, messageId: number) {
  return tx.maybeOne<Cursor>(
    'claim_expansion',
    /* sql */ `
    select e.cursor_phone as "cursorPhone", m.list_id as "listId", m.logged_on as "loggedOn",
           m.accepted_at as "acceptedAt", m.part_count as "partCount"
      from expansions e join messages m on m.id = e.message_id
     where e.message_id = $1
       for update of e skip locked`,
    [messageId],
  )
}

export type SliceInput = Cursor & { messageId: number; rows: number; chunkRows: number; lane: number; dueAt: Date }

/**
 * Writes the next recipients after the cursor, in the order of their phones, with their chunks and counters, and
 * moves the cursor: all in one statement. Answers how many were written; fewer than asked means the end.
 * Who left after the message was accepted belongs to the audience and is written as suppressed.
 */
export async function writeSlice(tx: Db, slice: SliceInput): Promise<number> {
  const { written } = await tx.one<{ written: number }>(
    `write_slice_${slice.loggedOn}`,
    /* sql */ `
    with block as materialized (
      select nextval('message_log_blocks') * 16384 as first_id
    ), audience as materialized (
      select s.phone, s.state = 'subscribed' as subscribed
        from subscribers s
       where s.list_id = $2 and s.phone > $3 and s.opted_in_at <= $4
         and (s.state = 'subscribed' or greatest(s.opted_out_at, s.cleaned_at) > $4)
       order by s.phone
       limit $5
    ), numbered as materialized (
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
      insert into send_chunks (message_id, logged_on, lane, due_at, first_log_id, last_log_id)
      select $1, $6::date, $9, $8, block.first_id + min(n), block.first_id + max(n)
        from numbered, block
       group by n / $10::bigint, block.first_id
       order by n / $10::bigint
    ), total as (
      select count(*) as written, count(*) filter (where subscribed) as queued, max(phone) as last_phone from numbered
    ), counted as (
      update message_counters c
         set audience = c.audience + t.written, queued = c.queued + t.queued,
             suppressed = c.suppressed + t.written - t.queued
        from total t where c.message_id = $1
    ), moved as (
      update expansions e set cursor_phone = t.last_phone from total t where e.message_id = $1 and t.written > 0
    )
    select written from total`,
    [
      slice.messageId,
      slice.listId,
      slice.cursorPhone,
      slice.acceptedAt,
      slice.rows,
      slice.loggedOn,
      slice.partCount,
      slice.dueAt,
      slice.lane,
      slice.chunkRows,
    ],
  )
  return written
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
