import type { Db } from '../src/db/db.ts'

/** Returns one line for each count of a list or of its number ranges that differs from its subscribers. */
export async function listWrongCounts(db: Db): Promise<string[]> {
  const faults = await db.many<{ fault: string }>(
    'faults_of_counts',
    `with counted as (
       select list_id, prefix, count(*) filter (where state = 'subscribed') as subscribed,
              count(*) filter (where state = 'unsubscribed') as unsubscribed,
              count(*) filter (where state = 'cleaned') as cleaned
         from subscribers cross join lateral (values (0), (phone / 10000000), (phone / 100000)) as digits (prefix)
        where state <> 'pending'
        group by list_id, prefix
     ), stored as (
       select list_id, prefix, sum(subscribed) as subscribed, sum(unsubscribed) as unsubscribed, sum(cleaned) as cleaned
         from (select list_id, prefix, subscribed, unsubscribed, cleaned from number_ranges
               union all
               select list_id, digits, subscribed, unsubscribed, cleaned
                 from list_deltas cross join lateral (values (prefix), (prefix / 100)) as ranges (digits)
                where prefix > 0
               union all
               select list_id, 0, subscribed, unsubscribed, cleaned from list_deltas
               union all
               select id, 0, subscribed_count, unsubscribed_count, cleaned_count from lists) parts
        group by list_id, prefix
     )
     select format('list %s, prefix %s: %s stored, %s counted', list_id, prefix,
                   row (s.subscribed, s.unsubscribed, s.cleaned), row (c.subscribed, c.unsubscribed, c.cleaned)) as fault
       from counted c full join stored s using (list_id, prefix)
      where coalesce(c.subscribed, 0) <> coalesce(s.subscribed, 0)
         or coalesce(c.unsubscribed, 0) <> coalesce(s.unsubscribed, 0)
         or coalesce(c.cleaned, 0) <> coalesce(s.cleaned, 0)
      order by 1`,
  )
  return faults.map(({ fault }) => fault)
}
