import type { Db } from '../db/db.ts'
import { param, sql } from '../db/sql.ts'
import { countMoves } from './counters.sql.ts'
import { logTable } from './log-days.ts'
import type { SuppressionReason } from './reasons.ts'
import { to } from './transitions.ts'

export type LogRow = {
  phone: number
  /** Why the recipient is suppressed; null if the text is queued. */
  reason: SuppressionReason | null
  /** Recipient-specific text; null means the message's content. */
  content: string | null
  partCount: number
}

/** The slice's rows with the indexes `first` to `last`, which share a window. */
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

/**
 * Writes these recipients in their order, with their chunks and counters, and advances the cursor, all in one
 * statement.
 */
export async function writePersonalSlice(tx: Db, slice: PersonalSlice): Promise<void> {
  const { rows, chunks } = slice
  const messageId = param(slice.messageId)
  const loggedOn = param(slice.loggedOn)
  await tx.exec(
    `write_personal_slice_${slice.loggedOn}`,
    sql`
    with block as materialized (
      select nextval('message_log_blocks') * 16384 as first_id
    ), given as materialized (
      select phone, case when reason is null then ${to('enqueue')} else ${to('exclude')} end as state, reason,
             content, part_count, n - 1 as n
        from unnest(${rows.map((row) => row.phone)}::bigint[], ${rows.map((row) => row.reason)}::text[],
                    ${rows.map((row) => row.content)}::text[], ${rows.map((row) => row.partCount)}::smallint[])
             with ordinality as row(phone, reason, content, part_count, n)
    ), logged as (
      insert into ${logTable(slice.loggedOn)}
             (id, logged_on, message_id, phone, state, reason, content, part_count, closed_at)
      select block.first_id + n, ${loggedOn}::date, ${messageId}::bigint, phone, state::message_state, reason, content,
             part_count, case when reason is not null then ${slice.at}::timestamptz end
        from block, given
       order by n
    ), chunks as (
      insert into send_chunks (message_id, short_code_id, paused, logged_on, lane, due_at, closes_at, location,
                               first_log_id, last_log_id)
      select ${messageId}::bigint, m.short_code_id, m.paused_at is not null, ${loggedOn}::date, ${slice.lane}::smallint,
             due_at, closes_at, location, block.first_id + first, block.first_id + last
        from block, messages m,
             unnest(${chunks.map((chunk) => chunk.first)}::int[], ${chunks.map((chunk) => chunk.last)}::int[],
                    ${chunks.map((chunk) => chunk.opensAt)}::timestamptz[],
                    ${chunks.map((chunk) => chunk.closesAt)}::timestamptz[],
                    ${chunks.map((chunk) => chunk.location)}::text[]) with ordinality
               as chunk(first, last, due_at, closes_at, location, n)
       where m.id = ${messageId}
       order by n
    ), entered as (
      select ${messageId}::bigint as message_id, state from given
    ), counted as (${countMoves(['enqueue', 'exclude'], { moved: 'entered' })}
    )
    update expansions e set cursor_phone = ${slice.lastPhone} where e.message_id = ${messageId}`,
  )
}
