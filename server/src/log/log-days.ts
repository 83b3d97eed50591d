import { raw, type Sql } from '../db/sql.ts'

// The log is partitioned by day. Hot statements name the day's own table, so that no plan depends on the other days.

/** The table of one day's (YYYY-MM-DD) log rows. */
export function logTable(day: string): Sql {
  return raw(`message_log_${day.replaceAll('-', '')}`)
}

/** The table of one day's submits. */
export function submitsTable(day: string): Sql {
  return raw(`submits_${day.replaceAll('-', '')}`)
}

/** The name of a day's table while it is removed from the log. */
export const detachedName = (table: string): string => `${table}_detached`

/** The name of the table of a day's log rows while the day is removed. */
export const detachedLog = (day: string): string => detachedName(`message_log_${day.replaceAll('-', '')}`)
