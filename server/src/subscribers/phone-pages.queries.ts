import type { Db } from '../db/db.ts'
import type { PageBounds } from '../lib/paging.ts'

export type PagedState = 'subscribed' | 'unsubscribed' | 'cleaned'

/**
 * Returns a page of the list's numbers in one state, and their total number; undefined if the account has no such list.
 * A deep page costs hardly more than the first: the statement adds up the areas before it, then the ranges of its area,
 * and counts rows only within one range of 100,000 numbers. Counts, ranges, deltas and numbers come from one snapshot.
 */
export function listPhones(db: Db, accountId: number, listId: number, state: PagedState, page: PageBounds) {
  return db.maybeOne<{ count: number; phones: string[] }>(`list_phones_${state}`, statements[state], [
    listId,
    accountId,
    page.offset,
    page.perPage,
  ])
}

/** Returns up to `limit` numbers of the list in one state that follow this number, in ascending order. */
export async function listPhonesAfter(
  db: Db,
  listId: number,
  state: PagedState,
  after: number,
  limit: number,
): Promise<string[]> {
  const rows = await db.many<{ phone: string }>(
    `list_phones_after_${state}`,
    /* sql */ `
    select phone::text as phone from subscribers
     where list_id = $1 and state = '${state}' and phone > $2 order by subscribers.phone limit $3`,
    [listId, after, limit],
  )
  return rows.map((row) => row.phone)
}

// The state is a literal, not a parameter, so that the planner can use the small indexes of the rare states.
const statementFor = (state: PagedState) => /* sql */ `
  with deltas as materialized (
    select prefix, sum(${state})::bigint as n from list_deltas where list_id = $1 group by prefix
  ), areas as (
    select prefix as area, sum(n)::bigint as n
      from (select prefix, ${state} as n from number_ranges where list_id = $1 and prefix < 1000
            union all
            select prefix / 100, n from deltas where prefix > 0) a
     group by prefix
  ), page_areas as materialized (
    select area, running_total - n as before
      from (select area, n, (sum(n) over (order by area))::bigint as running_total from areas) a
     where n > 0 and running_total > $3::bigint and running_total - n < $3::bigint + $4::bigint
  ), ranges as (
    select area, before, prefix, sum(n)::bigint as n
      from (select a.area, a.before, r.prefix, r.n
              from page_areas a
             cross join lateral (select prefix, ${state} as n from number_ranges
                                  where list_id = $1 and prefix between a.area * 100 and a.area * 100 + 99 offset 0) r
            union all
            select a.area, a.before, d.prefix, d.n from page_areas a join deltas d on d.prefix / 100 = a.area) r
     group by area, before, prefix
  ), page_ranges as materialized (
    select prefix::bigint * 100000 as first_phone, n, running_total - n as before
      from (select prefix, n, before + (sum(n) over (partition by area order by prefix))::bigint as running_total from ranges) r
     where n > 0 and running_total > $3::bigint and running_total - n < $3::bigint + $4::bigint
  )
  select (l.${state}_count + coalesce((select sum(n) from deltas), 0))::bigint as count,
         array(select p.phone::text
                 from page_ranges r
                cross join lateral (
                  select s.phone from subscribers s
                   where s.list_id = $1 and s.state = '${state}'
                     and s.phone between r.first_phone and r.first_phone + 99999
                   order by s.phone
                  offset greatest($3::bigint - r.before, 0)
                   limit least(r.n, $3::bigint + $4::bigint - r.before) - greatest($3::bigint - r.before, 0)) p
                order by p.phone) as phones
    from lists l
   where l.id = $1 and l.account_id = $2 and l.deleted_at is null`

const statements = {
  subscribed: statementFor('subscribed'),
  unsubscribed: statementFor('unsubscribed'),
  cleaned: statementFor('cleaned'),
}
