import type { Db } from '../src/db/db.ts'

/** Returns a line for each count of a list, or of its number ranges, that differs from its subscribers. */
export async function faultsOfCounts(db: Db): Promise<string[]> {
  const faults = await db.many<{ fault: string }>(
    'faults_of_counts',
    `with truth as (
       select list_id, prefix, count(*) filter (where state = 'subscribed') as subscribed,
              count(*) filter (where state = 'unsubscribed') as unsubscribed,
              count(*) filter (where state = 'cleaned') as cleaned
         from subscribers cross join lateral (values (0), (phone / 10000000), (phone / 100000)) as digits (prefix)
        where state <> 'pending'
        group by list_id, prefix
     ), told as (
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
     select format('list %s, prefix %s: %s told, %s counted', list_id, prefix,
                   row (o.subscribed, o.unsubscribed, o.cleaned), row (t.subscribed, t.unsubscribed, t.cleaned)) as fault
       from truth t full join told o using (list_id, prefix)
      where coalesce(t.subscribed, 0) <> coalesce(o.subscribed, 0)
         or coalesce(t.unsubscribed, 0) <> coalesce(o.unsubscribed, 0)
         or coalesce(t.cleaned, 0) <> coalesce(o.cleaned, 0)
      order by 1`,
  )
  return faults.map(({ fault }) => fault)
}
