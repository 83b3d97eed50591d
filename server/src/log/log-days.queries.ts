import type { Db } from '../db/db.ts'

/** Creates the partitions of a day (YYYY-MM-DD) if they are missing; cheap if they exist. */
export async function ensureLogDay(tx: Db, day: string) {
  await tx.exec('ensure_log_day', /* sql */ `select ensure_log_day($1::date)`, [day])
}

/** Creates the log's partitions of these days (YYYY-MM-DD) if they are missing. */
export async function ensureLogDays(db: Db, days: string[]): Promise<void> {
  await db.exec('ensure_log_days', /* sql */ `select ensure_log_day(day::date) from unnest($1::text[]) as day`, [days])
}

/** Returns the days (YYYY-MM-DD) of which the log has partitions, in order. */
export async function listKeptDays(db: Db): Promise<string[]> {
  const rows = await db.many<{ day: string }>(
    'list_kept_days',
    /* sql */ `
    select to_char(to_date(right(c.relname, 8), 'YYYYMMDD'), 'YYYY-MM-DD') as day
      from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'message_log'::regclass and not i.inhdetachpending order by c.relname`,
  )
  return rows.map(({ day }) => day)
}
