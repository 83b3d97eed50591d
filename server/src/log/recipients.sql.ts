import { param, raw, type Sql, sql } from '../db/sql.ts'
import { insertCountersOfQueued } from './counters.sql.ts'
import { to } from './transitions.ts'

/** The recipients with the indexes `first` to `last`, which share a window. */
export type AddressedChunk = {
  first: number
  last: number
  dueAt: Date
  closesAt: Date | null
  location: string | null
}

export type AddressedRecipients = {
  shortCodeId: number
  loggedOn: string
  lane: number
  /** Null content means the message's content. */
  recipients: Array<{ phone: number; content: string | null; partCount: number }>
  chunks: AddressedChunk[]
}

/** The statement that starts the expansion of the messages of a CTE (id). */
export const insertExpansions = (cte: string) => `insert into expansions (message_id) select id from ${cte}`

/**
 * Returns CTEs that write the log rows, chunks and counters of the one message of a CTE (id), whose recipients are all
 * known.
 */
export function insertRecipients(cte: string, given: AddressedRecipients): Sql {
  const { recipients, chunks } = given
  const message = raw(cte)
  const loggedOn = param(given.loggedOn)
  return sql`
    block as materialized (
      select nextval('message_log_blocks') * 16384 as first_id
    ), recipients as materialized (
      select phone, content, part_count, n - 1 as n
        from unnest(${recipients.map((one) => one.phone)}::bigint[], ${recipients.map((one) => one.content)}::text[],
                    ${recipients.map((one) => one.partCount)}::smallint[])
             with ordinality as given(phone, content, part_count, n)
    ), counters as (${insertCountersOfQueued(cte, recipients.length)}
    ), logged as (
      insert into message_log (id, logged_on, message_id, phone, state, content, part_count)
      select block.first_id + n, ${loggedOn}::date, ${message}.id, recipients.phone,
             ${to('enqueue')}::message_state, recipients.content, recipients.part_count
        from ${message}, block, recipients
       order by n
    ), chunks as (
      insert into send_chunks (message_id, short_code_id, logged_on, lane, due_at, closes_at, location, first_log_id, last_log_id)
      select ${message}.id, ${given.shortCodeId}::bigint, ${loggedOn}::date, ${given.lane}::smallint, due_at, closes_at,
             location, block.first_id + first, block.first_id + last
        from ${message}, block,
             unnest(${chunks.map((chunk) => chunk.first)}::int[], ${chunks.map((chunk) => chunk.last)}::int[],
                    ${chunks.map((chunk) => chunk.dueAt)}::timestamptz[],
                    ${chunks.map((chunk) => chunk.closesAt)}::timestamptz[],
                    ${chunks.map((chunk) => chunk.location)}::text[]) as chunk(first, last, due_at, closes_at, location)
    )`
}
