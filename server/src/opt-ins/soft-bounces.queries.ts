import type { Db } from '../db/db.ts'
import { param, sql } from '../db/sql.ts'
import { addToCounter } from '../log/counters.sql.ts'
import { recordCleaned } from '../subscribers/clean.sql.ts'

/** The consecutive soft bounces of a number on a list: as counted in soft_bounces, and as found in the message log. */
export type SoftBounceCount = { listId: number; phone: number; consecutiveCount: number; logged: number }

/**
 * Locks numbers whose count has reached the limit until the transaction ends, and returns how many texts of the list
 * have bounced softly, by the message log, since the account's last delivery to them.
 */
export function claimSoftBouncers(tx: Db, limit: number) {
  return tx.many<SoftBounceCount>(
    'claim_soft_bouncers',
    /* sql */ `
    with candidates as materialized (
      select list_id, phone, consecutive_count from soft_bounces
       where consecutive_count >= 7 order by list_id, phone limit $1 for update skip locked
    ), ended as materialized (
      select b.list_id, b.phone, l.state, l.closed_at, m.list_id = b.list_id as is_of_list
        from candidates b
        join lists on lists.id = b.list_id
       cross join lateral (select message_id, state, closed_at from message_log
                            where phone = b.phone
                              and (state = 'delivered' or (reason = 'soft' and state in ('bounced', 'expired')))) l
        join messages m on m.id = l.message_id and m.account_id = lists.account_id
    )
    select b.list_id as "listId", b.phone, b.consecutive_count as "consecutiveCount",
           (select count(*) from ended e
             where e.list_id = b.list_id and e.phone = b.phone and e.is_of_list and e.state <> 'delivered'
               and not exists (select from ended d where d.list_id = b.list_id and d.phone = b.phone
                                  and d.state = 'delivered' and d.closed_at >= e.closed_at)) as logged
      from candidates b`,
    [limit],
  )
}

/** Cleans these numbers, with the ledger and the counts of list and last bounced message; returns how many. */
export async function cleanSoftBouncers(tx: Db, counts: SoftBounceCount[], at: Date): Promise<number> {
  const time = param(at)
  const { n } = await tx.one<{ n: number }>(
    'clean_soft_bouncers',
    sql`
    with deleted as (
      delete from soft_bounces s using unnest(${counts.map((each) => each.listId)}::bigint[], ${counts.map((each) => each.phone)}::bigint[]) as b(list_id, phone)
       where s.list_id = b.list_id and s.phone = b.phone
      returning s.list_id, s.phone, s.message_id, s.log_id
    ), cleaned as (
      update subscribers s
         set state = 'cleaned', cleaned_at = ${time}::timestamptz, clean_reason = 'soft_bounces',
             last_message_id = g.message_id
        from deleted g join lists on lists.id = g.list_id
       where s.list_id = g.list_id and s.phone = g.phone and s.state = 'subscribed'
      returning lists.account_id, g.message_id, g.log_id, s.list_id, s.phone, 'subscribed' as was
    ), ${recordCleaned(time)}, counted as (${addToCounter('clean_count', 'cleaned')}
    )
    select count(*) as n from cleaned`,
  )
  return n
}

/** Sets the counts of these numbers to their soft bounces since the last delivery, as found in the message log. */
export async function correctSoftBounces(tx: Db, counts: SoftBounceCount[]): Promise<void> {
  await tx.exec(
    'correct_soft_bounces',
    /* sql */ `
    update soft_bounces s set consecutive_count = b.logged
      from unnest($1::bigint[], $2::bigint[], $3::int[]) as b(list_id, phone, logged)
     where s.list_id = b.list_id and s.phone = b.phone`,
    [counts.map((each) => each.listId), counts.map((each) => each.phone), counts.map((each) => each.logged)],
  )
}
