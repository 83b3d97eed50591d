import type { Db } from '../db/db.ts'
import { recordCleaned } from '../subscribers/clean.sql.ts'

/** A number of a list with many soft bounces: how many in a row the count says, and how many the log shows. */
export type SoftBounceCount = { listId: number; phone: number; inARow: number; shown: number }

/**
 * Locks, for the length of the transaction, numbers whose count has reached the limit, and reads from the log how many
 * texts of the list have bounced softly since anything of the account was last delivered to them.
 */
export function claimSoftBouncers(tx: Db, limit: number) {
  return tx.many<SoftBounceCount>(
    'claim_soft_bouncers',
    /* sql */ `
    with many as materialized (
      select list_id, phone, in_a_row from soft_bounces
       where in_a_row >= 7 order by list_id, phone limit $1 for update skip locked
    ), ended as materialized (
      select b.list_id, b.phone, l.state, l.closed_at, m.list_id = b.list_id as of_list
        from many b
        join lists on lists.id = b.list_id
       cross join lateral (select message_id, state, closed_at from message_log
                            where phone = b.phone
                              and (state = 'delivered' or (reason = 'soft' and state in ('bounced', 'expired')))) l
        join messages m on m.id = l.message_id and m.account_id = lists.account_id
    )
    select b.list_id as "listId", b.phone, b.in_a_row as "inARow",
           (select count(*) from ended e
             where e.list_id = b.list_id and e.phone = b.phone and e.of_list and e.state <> 'delivered'
               and not exists (select from ended d where d.list_id = b.list_id and d.phone = b.phone
                                  and d.state = 'delivered' and d.closed_at >= e.closed_at)) as shown
      from many b`,
    [limit],
  )
}

/** Cleans these numbers, in the ledger, in the counts, and against the message that bounced last; answers how many. */
export async function cleanSoftBouncers(tx: Db, bouncers: SoftBounceCount[]): Promise<number> {
  const { n } = await tx.one<{ n: number }>(
    'clean_soft_bouncers',
    /* sql */ `
    with gone as (
      delete from soft_bounces s using unnest($1::bigint[], $2::bigint[]) as b(list_id, phone)
       where s.list_id = b.list_id and s.phone = b.phone
      returning s.list_id, s.phone, s.message_id, s.log_id
    ), cleaned as (
      update subscribers s set state = 'cleaned', cleaned_at = clock_timestamp()
        from gone g join lists on lists.id = g.list_id
       where s.list_id = g.list_id and s.phone = g.phone and s.state = 'subscribed'
      returning lists.account_id, g.message_id, g.log_id, s.list_id, s.phone
    ), ${recordCleaned}, counted as (
      update message_counters c set clean_count = c.clean_count + t.n
        from (select message_id, count(*) as n from cleaned group by message_id order by message_id) t where c.message_id = t.message_id
    )
    select count(*) as n from cleaned`,
    [bouncers.map((each) => each.listId), bouncers.map((each) => each.phone)],
  )
  return n
}

/** Puts the counts of numbers right that something was delivered to meanwhile. */
export async function correctSoftBounces(tx: Db, bouncers: SoftBounceCount[]): Promise<void> {
  await tx.exec(
    'correct_soft_bounces',
    /* sql */ `
    update soft_bounces s set in_a_row = b.shown
      from unnest($1::bigint[], $2::bigint[], $3::int[]) as b(list_id, phone, shown)
     where s.list_id = b.list_id and s.phone = b.phone`,
    [bouncers.map((each) => each.listId), bouncers.map((each) => each.phone), bouncers.map((each) => each.shown)],
  )
}
