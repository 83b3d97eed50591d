import type { Db } from '../db/db.ts'
import { logTable } from './log-days.ts'

export type LogRow = {
  phone: number
  /** Why he gets nothing; null for who does. */
  reason: string | null
  /** His own text; null where it is the message's, letter for letter. */
  content: string | null
  partCount: number
}

/** Rows from `first` to `last`, by their places in the slice. */
export type ChunkOfSlice = {
  first: number
  last: number
  opensAt: Date
  closesAt: Date | null
  location: string | null
}

export type PersonalSlice = {
  messageId: number
  loggedOn: string
  lane: number
  at: Date
  rows: LogRow[]
  chunks: ChunkOfSlice[]
  lastPhone: number
}

/** Writes these recipients in their order, with their chunks and counters, and moves the cursor: all in one statement. */
export async function writePersonalSlice(tx: Db, slice: PersonalSlice): Promise<void> {
  const { rows, chunks } = slice
  await tx.exec(
    `write_personal_slice_${slice.loggedOn}`,
    /* sql */ `
    with block as materialized (
      select nextval('message_log_blocks') * 16384 as first_id
    ), logged as (
      insert into ${logTable(slice.loggedOn)}
             (id, logged_on, message_id, phone, state, reason, content, part_count, closed_at)
      select block.first_id + n - 1, $2::date, $1, phone,
             case when reason is null then 'queued' else 'suppressed' end::message_state, reason, content, part_count,
             case when reason is not null then $3::timestamptz end
        from block, unnest($5::bigint[], $6::text[], $7::text[], $8::smallint[]) with ordinality
                      as given(phone, reason, content, part_count, n)
       order by n
    ), chunks as (
      insert into send_chunks (message_id, short_code_id, paused, logged_on, lane, due_at, closes_at, place,
                               first_log_id, last_log_id)
      select $1, m.short_code_id, m.paused_at is not null, $2::date, $4, due_at, closes_at, place,
             block.first_id + first, block.first_id + last
        from block, messages m,
             unnest($9::int[], $10::int[], $11::timestamptz[], $12::timestamptz[], $15::text[]) with ordinality
               as given(first, last, due_at, closes_at, place, n)
       where m.id = $1
       order by n
    ), counted as (
      update message_counters c
         set audience = c.audience + cardinality($5::bigint[]), queued = c.queued + $13,
             suppressed = c.suppressed + cardinality($5::bigint[]) - $13
       where c.message_id = $1
    )
    update expansions e set cursor_phone = $14 where e.message_id = $1`,
    [
      slice.messageId,
      slice.loggedOn,
      slice.at,
      slice.lane,
      rows.map((row) => row.phone),
      rows.map((row) => row.reason),
      rows.map((row) => row.content),
      rows.map((row) => row.partCount),
      chunks.map((chunk) => chunk.first),
      chunks.map((chunk) => chunk.last),
      chunks.map((chunk) => chunk.opensAt),
      chunks.map((chunk) => chunk.closesAt),
      rows.filter((row) => row.reason === null).length,
      slice.lastPhone,
      chunks.map((chunk) => chunk.location),
    ],
  )
}
