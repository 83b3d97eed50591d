import type { Db } from '../db/db.ts'
import { param, sql } from '../db/sql.ts'
import { addToCounter } from '../log/counters.sql.ts'
import { recordCleaned } from '../subscribers/clean.sql.ts'

/**
 * The consecutive soft bounces of a number on a list: as counted in soft_bounces, and as found in the message log, with the day
 * (YYYY-MM-DD) of the first one.
 */
export type SoftBounceCount = {
  listId: number
  phone: number
  consecutiveCount: number
  logged: number
  firstLoggedOn: string | null
}

/**
 * Locks numbers whose count has reached the limit until the transaction ends, and returns how many texts of the list
 * have bounced softly, by the message log from the first of them to `today`, since the account's last delivery to them.
 */
export function claimSoftBouncers(tx: Db, limit: number, today: string) {
  return tx.many<SoftBounceCount>(
    'claim_soft_bouncers',
    /* sql */ `
    with candidates as materialized (
      select list_id, phone, consecutive_count, first_logged_on from soft_bounces
       where consecutive_count >= 7 order by list_id, phone limit $1 for update skip locked
    ), logged as materialized (
      select message_id, phone, state, closed_at, logged_on
        from log_rows(array(select distinct phone from candidates),
                      array(select day::date
                              from generate_series((select min(first_logged_on) from candidates), $2::date, interval '1 day') day),
                      null)
       where state = 'delivered' or (reason = 'soft' and state in ('bounced', 'expired'))
    ), ended as materialized (
      select b.list_id, b.phone, l.state, l.closed_at, l.logged_on, m.list_id = b.list_id as is_of_list
        from candidates b
        join lists on lists.id = b.list_id
        join logged l on l.phone = b.phone and l.logged_on >= b.first_logged_on
        join messages m on m.id = l.message_id and m.account_id = lists.account_id
    )
    select b.list_id as "listId", b.phone, b.consecutive_count as "consecutiveCount", run.logged, run."firstLoggedOn"
      from candidates b
     cross join lateral (
       select count(*) as logged, min(logged_on) as "firstLoggedOn" from ended e
        where e.list_id = b.list_id and e.phone = b.phone and e.is_of_list and e.state <> 'delivered'
          and not exists (select from ended d where d.list_id = b.list_id and d.phone = b.phone
                             and d.state = 'delivered' and d.closed_at >= e.closed_at)) run`,
    [limit, today],
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
         set state = 'cleaned', cleaned_at = ${time}::timestamptz, updated_at = ${time}, clean_reason = 'soft_bounces',
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
    with alive as materialized (
      select * from unnest($1::bigint[], $2::bigint[], $3::int[], $4::date[]) as b(list_id, phone, logged, first_logged_on)
    ), reset as (
      delete from soft_bounces s using alive b where s.list_id = b.list_id and s.phone = b.phone and b.logged = 0
    )
    update soft_bounces s set consecutive_count = b.logged, first_logged_on = b.first_logged_on
      from alive b
     where s.list_id = b.list_id and s.phone = b.phone and b.logged > 0`,
    [
      counts.map((each) => each.listId),
      counts.map((each) => each.phone),
      counts.map((each) => each.logged),
      counts.map((each) => each.firstLoggedOn),
    ],
  )
}
