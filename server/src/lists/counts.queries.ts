import type { Db } from '../db/db.ts'

/**
 * Folds deltas into the lists' counts and ranges, and returns the number of folded deltas. One statement, so a reader
 * that sums base and deltas in one snapshot counts each delta exactly once. Skips rows that another fold has locked.
 */
export function foldListDeltas(db: Db, limit: number): Promise<number> {
  return db
    .one<{ folded: number }>(
      'fold_list_deltas',
      /* sql */ `
    with folded as (
      delete from list_deltas
       where id in (select id from list_deltas order by id limit $1 for update skip locked)
      returning list_id, prefix, subscribed, unsubscribed, cleaned
    ), sums as (
      select list_id, sum(subscribed) as subscribed, sum(unsubscribed) as unsubscribed, sum(cleaned) as cleaned
        from folded group by list_id
    ), updated_lists as (
      update lists l
         set subscribed_count = l.subscribed_count + s.subscribed,
             unsubscribed_count = l.unsubscribed_count + s.unsubscribed,
             cleaned_count = l.cleaned_count + s.cleaned
        from sums s where l.id = s.list_id
    ), updated_ranges as (
      insert into number_ranges as r (list_id, prefix, subscribed, unsubscribed, cleaned)
      select list_id, digits, sum(subscribed), sum(unsubscribed), sum(cleaned)
        from folded cross join lateral (values (prefix), (prefix / 100)) as ranges (digits)
       where prefix > 0
       group by list_id, digits
       -- all writers of ranges use this order, which prevents deadlocks
       order by list_id, digits
          on conflict (list_id, prefix) do update
         set subscribed = r.subscribed + excluded.subscribed, unsubscribed = r.unsubscribed + excluded.unsubscribed,
             cleaned = r.cleaned + excluded.cleaned
    )
    select count(*) as folded from folded`,
      [limit],
    )
    .then((row) => row.folded)
}
