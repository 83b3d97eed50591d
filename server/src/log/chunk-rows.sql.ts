import { raw, type Sql, sql } from '../db/sql.ts'
import { logTable } from './log-days.ts'

/**
 * SQL for an array of the ids, in ascending order, of a message's log rows in this state within the chunks of a CTE
 * `chunks` (first_log_id, last_log_id). An array forces a look-up by id: a join with the chunks, planned while the day
 * was small, reads the whole day.
 */
export const rowsOfChunks = (day: string, messageId: Sql, state: 'queued' | 'sent' | 'unknown') => sql`
  array(select log_row.id
          from chunks c cross join lateral (
            select id from ${logTable(day)}
             where id between c.first_log_id and c.last_log_id and message_id = ${messageId} and state = '${raw(state)}'
             order by id offset 0) log_row)`
