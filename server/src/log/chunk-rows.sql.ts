import { raw, type Sql, sql } from '../db/sql.ts'
import { logTable } from './log-days.ts'

/**
 * The ids, in ascending order, of the log rows in this state that the chunks of a CTE `chunks` (first_log_id, last_log_id)
 * hold of a message. An array of ids leaves the planner no choice but the key: a join with the chunks, planned while the
 * day was small, reads the whole day.
 */
export const rowsOfChunks = (day: string, messageId: Sql, state: 'queued' | 'sent' | 'unknown') => sql`
  array(select log_row.id
          from chunks c cross join lateral (
            select id from ${logTable(day)}
             where id between c.first_log_id and c.last_log_id and message_id = ${messageId} and state = '${raw(state)}'
             order by id offset 0) log_row)`
