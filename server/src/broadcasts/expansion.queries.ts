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

export type Cursor = {
  cursorPhone: number
  listId: number
  loggedOn: string
  /** Who is subscribed at this moment is the audience: when it was accepted, or when it was due. */
  audienceAt: Date
  partCount: number
  /** Only those of the list's subscribers who pass the message's tests. */
  isFiltered: boolean
}

/** Locks an expansion for the length of the transaction; undefined when another worker has it, or it is done. */
export function claimExpansion(tx: Db, messageId: number) {
  return tx.maybeOne<Cursor>(
    'claim_expansion',
    /* sql */ `
    select e.cursor_phone as "cursorPhone", m.list_id as "listId", m.logged_on as "loggedOn",
           coalesce(m.send_at, m.accepted_at) as "audienceAt", m.part_count as "partCount",
           m.audience is not null as "isFiltered"
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
    ), ${slice.isFiltered ? filteredAudience : wholeAudience}, numbered as materialized (
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
      insert into send_chunks (message_id, short_code_id, logged_on, lane, due_at, first_log_id, last_log_id)
      select $1, (select short_code_id from messages where id = $1), $6::date, $9, $8,
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

// Who was subscribed to the list at the audience's moment, whatever became of them since.
const belongs = /* sql */ `
  s.opted_in_at <= $4 and (s.state = 'subscribed' or greatest(s.opted_out_at, s.cleaned_at) > $4)`

const wholeAudience = /* sql */ `
    audience as materialized (
      select s.phone, s.state = 'subscribed' as subscribed
        from subscribers s
       where s.list_id = $2 and s.phone > $3 and ${belongs}
       order by s.phone
       limit $5
    ), passed as (
      select count(*) as rows, max(phone) as last_phone from audience
    )`

/** The value of the field that a test is of, as it is kept; null where there is none. */
const value = `nullif(s.custom_fields -> f.key, 'null')`

// The limit is on rows looked at, not on rows that pass: where few do, a slice would have to search the whole list.
const filteredAudience = /* sql */ `
    wanted as materialized (
      select case when audience ? 'tags_any' then array(select jsonb_array_elements_text(audience -> 'tags_any')) end
               as tags_any,
             case when audience ? 'tags_all' then array(select jsonb_array_elements_text(audience -> 'tags_all')) end
               as tags_all,
             case when audience ? 'tags_none' then array(select jsonb_array_elements_text(audience -> 'tags_none')) end
               as tags_none,
             coalesce(audience -> 'custom_fields', '[]') as custom_fields
        from messages where id = $1
    ), scanned as materialized (
      select phone, state, opted_in_at, opted_out_at, cleaned_at, tags, custom_fields
        from subscribers
       where list_id = $2 and phone > $3
       order by phone
       limit $5
    ), audience as materialized (
      select s.phone, s.state = 'subscribed' as subscribed
        from scanned s cross join wanted w
       where ${belongs}
         and (w.tags_any is null or s.tags && w.tags_any)
         and (w.tags_all is null or s.tags @> w.tags_all)
         and (w.tags_none is null or not s.tags && w.tags_none)
         and not exists (
           select from jsonb_to_recordset(w.custom_fields) as f(key text, op text, value jsonb)
            where not coalesce(case f.op
                    when 'exists' then (${value} is not null) = (f.value <> 'false')
                    when 'eq' then ${value} = f.value
                    when 'ne' then ${value} is distinct from f.value
                    -- a value that was kept for a former field of another type cannot be compared
                    when 'gt' then jsonb_typeof(${value}) = jsonb_typeof(f.value) and ${value} > f.value
                    when 'lt' then jsonb_typeof(${value}) = jsonb_typeof(f.value) and ${value} < f.value
                    when 'contains' then position(lower(f.value #>> '{}') in lower(${value} #>> '{}')) > 0
                  end, false))
    ), passed as (
      select count(*) as rows, max(phone) as last_phone from scanned
    )`

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
