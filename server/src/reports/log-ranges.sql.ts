import { type Sql, sql } from '../db/sql.ts'
import { logTable } from '../log/log-days.ts'

/**
 * The CTE `ranges` (message_id, first, last): the log ids of these messages of a day, which are in their chunks while they are open
 * and in their ranges when they are closed. A closed message to one number has neither: its row is found by the number. Ranges
 * of a message do not overlap, but may have ids without a row.
 */
export const logRanges = (day: string, messageIds: Sql): Sql => sql`
  ranges as materialized (
    select message_id, first_log_id as first, last_log_id as last
      from message_ranges where message_id = any(${messageIds}::bigint[])
     union
    -- chunks of texts that are retried are within the range of another chunk of the block
    select message_id, min(first_log_id), max(last_log_id)
      from send_chunks where message_id = any(${messageIds}::bigint[]) group by message_id, first_log_id / 16384
     union
    select m.id, l.id, l.id
      from messages m
     cross join lateral (select id from ${logTable(day)} where phone = m.phone and message_id = m.id offset 0) l
     where m.id = any(${messageIds}::bigint[]) and m.phone is not null
  )`
