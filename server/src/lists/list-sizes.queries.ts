import type { Db } from '../db/db.ts'

/**
 * Records the counts of the next `limit` lists after `after` at the end of yesterday in the time zones of their accounts, unless they
 * are recorded. Returns the last list that was read, null at the end; a second worker, and another round, record nothing twice.
 */
export async function recordListSizes(db: Db, now: Date, after: number, limit: number): Promise<number | null> {
  const { last } = await db.one<{ last: number | null }>(
    'record_list_sizes',
    /* sql */ `
    with page as materialized (
      select l.id, l.account_id, l.created_at, l.deleted_at, l.subscribed_count, l.unsubscribed_count, l.cleaned_count
        from lists l where l.id > $2 order by l.id limit $3
    ), due as materialized (
      select p.*, local.yesterday
        from page p
        join accounts a on a.id = p.account_id
       cross join lateral (select (timezone(a.time_zone, $1::timestamptz))::date - 1 as yesterday,
                                  (timezone(a.time_zone, p.created_at))::date as created) local
       where p.deleted_at is null and local.created <= local.yesterday
         and not exists (select from list_sizes s where s.list_id = p.id and s.day >= local.yesterday)
    ), recorded as (
      insert into list_sizes (list_id, day, subscribed, unsubscribed, cleaned, recorded_at)
      select due.id, due.yesterday, due.subscribed_count + d.subscribed, due.unsubscribed_count + d.unsubscribed,
             due.cleaned_count + d.cleaned, $1
        from due
       -- base and deltas in one snapshot, because the folding job moves deltas into the base
       cross join lateral (select coalesce(sum(subscribed), 0) as subscribed, coalesce(sum(unsubscribed), 0) as unsubscribed,
                                  coalesce(sum(cleaned), 0) as cleaned
                             from list_deltas where list_id = due.id) d
          on conflict do nothing
    )
    select max(id) as last from page`,
    [now, after, limit],
  )
  return last
}

/** The counts of a list at the end of a day (YYYY-MM-DD); null if they were not recorded. */
export type ListSize = {
  day: string
  recordedAt: Date | null
  counts: { subscribers: number; unsubscribed: number; cleaned: number } | null
}

/**
 * Returns the sizes of a list on the days of a period, in their order: one for each day on which the list existed and that has ended
 * in the account's time zone.
 */
export function listSizes(db: Db, listId: number, timeZone: string, period: { from: string; to: string }, now: Date) {
  return db.many<ListSize>(
    'list_sizes',
    /* sql */ `
    select d.day::date::text as day, s.recorded_at as "recordedAt",
           case when s.day is not null
                then json_build_object('subscribers', s.subscribed, 'unsubscribed', s.unsubscribed, 'cleaned', s.cleaned) end as counts
      from lists l
     cross join lateral generate_series(
             greatest($3::date, (timezone($2, l.created_at))::date),
             least($4::date, (timezone($2, $5::timestamptz))::date - 1), interval '1 day') as d(day)
      left join list_sizes s on s.list_id = l.id and s.day = d.day
     where l.id = $1
     order by d.day`,
    [listId, timeZone, period.from, period.to, now],
  )
}
