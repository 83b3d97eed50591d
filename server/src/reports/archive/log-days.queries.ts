import type { Db } from '../../db/db.ts'
import type { ArchiveState } from './archives.queries.ts'

const keptDays = /* sql */ `
  select to_date(right(c.relname, 8), 'YYYYMMDD') as day
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
   where i.inhparent = 'message_log'::regclass and not i.inhdetachpending`

/** Returns the numbers of days until `today` that are kept, were removed, or could not be, and the oldest kept one (YYYY-MM-DD). */
export function measureLogDays(db: Db, today: string) {
  return db.one<{ kept: number; oldest: string | null; archived: number; failed: number }>(
    'measure_log_days',
    /* sql */ `
    select k.kept, k.oldest, (select count(*) from log_archives where state in ('detached', 'dropped')) as archived,
           (select count(*) from log_archives where state <> 'dropped' and error is not null) as failed
      from (select count(*) as kept, min(day)::text as oldest from (${keptDays}) d where day <= $1::date) k`,
    [today],
  )
}

/** A day of the message log: where its rows are, and how far its removal is. */
export type LogDay = {
  day: string
  isKept: boolean
  state: ArchiveState | null
  /** Those of its archive. */
  rows: number
  files: number
  bytes: number
  failures: number
  error: string | null
  droppedAt: Date | null
}

/** Returns the days that are kept until `today`, and those that were removed, in order. */
export function listDaysOfLog(db: Db, today: string) {
  return db.many<LogDay>(
    'list_days_of_log',
    /* sql */ `
    select coalesce(k.day, a.day)::text as day, k.day is not null as "isKept", a.state, coalesce(f.rows, 0) as rows,
           coalesce(f.files, 0) as files, coalesce(f.bytes, 0) as bytes, coalesce(a.failures, 0) as failures, a.error,
           a.dropped_at as "droppedAt"
      from (select day from (${keptDays}) d where day <= $1::date) k
      full join log_archives a on a.day = k.day
      left join lateral (
        select sum(row_count)::bigint as rows, count(*) as files, sum(bytes)::bigint as bytes
          from log_archive_files where day = a.day) f on true
     order by 1`,
    [today],
  )
}

/** Makes the days whose archive failed due at once, and returns their number. */
export function retryArchives(db: Db, now: Date): Promise<number> {
  return db.exec(
    'retry_log_archives',
    /* sql */ `update log_archives set due_at = $1 where state <> 'dropped' and error is not null and due_at > $1`,
    [now],
  )
}
