import { type Sql, sql } from '../db/sql.ts'

/** A text that bounced because the carrier has an opt-out of this number from this short code on record. */
export type CarrierOptOut = { logId: number; phone: number; shortCode: string; carrierStatus: string }

/**
 * CTEs that write the ledger and the counts of the numbers that the statement's CTE `cleaned` has cleaned (`was` is their
 * former state); `at` is the parameter of their time.
 */
export const recordCleaned = (at: Sql) => sql`
  cleaned_opts as (
    insert into opts (account_id, list_id, phone, kind, method, actor, created_at)
    select account_id, list_id, phone, 'cleaned', 'carrier', 'mt:' || log_id, ${at}::timestamptz from cleaned
  ), cleaned_deltas as (
    insert into list_deltas (list_id, prefix, subscribed, cleaned)
    select list_id, phone / 100000, -count(*) filter (where was = 'subscribed'), count(*)
      from cleaned group by list_id, phone / 100000
  )`

/**
 * CTEs that clean dead numbers. `moved` is the statement's CTE of the log rows (id, message_id, phone, state, reason)
 * that it has changed. Subscribed and pending numbers with a hard bounce are cleaned from the list of their message,
 * with the ledger and the
 * list's counts, in the commit that records the bounce; the CTE `cleaned` returns them (message_id, list_id, phone).
 * Soft bounces are counted, so that `soft-bounces.ts` finds the numbers with many.
 */
export const cleanDeadNumbers = (at: Sql) => sql`
  bounces as materialized (
    select m.account_id, m.list_id, m.logged_on, m.id as message_id, b.phone, b.id as log_id, b.reason
      from moved b
      -- lateral with offset 0 here, and the arrays below, force look-ups by key
     cross join lateral (select id, account_id, list_id, logged_on from messages where id = b.message_id offset 0) m
     where b.state in ('bounced', 'expired') and b.reason in ('hard', 'soft') and m.list_id is not null
  ), soft as (
    insert into soft_bounces as s (list_id, phone, consecutive_count, first_logged_on, message_id, log_id)
    select list_id, phone, count(*), min(logged_on), max(message_id), max(log_id)
      from bounces where reason = 'soft' group by list_id, phone order by list_id, phone
        on conflict (list_id, phone) do update
       set consecutive_count = s.consecutive_count + excluded.consecutive_count,
           first_logged_on = least(s.first_logged_on, excluded.first_logged_on),
           message_id = excluded.message_id, log_id = excluded.log_id
  ), dead as materialized (
    select distinct on (list_id, phone) account_id, list_id, message_id, phone, log_id
      from bounces where reason = 'hard'
     order by list_id, phone, log_id desc
  ), formerly as materialized (
    select d.*, s.state as was
      from dead d cross join lateral (
        select state from subscribers where list_id = d.list_id and phone = d.phone offset 0) s
     where s.state in ('subscribed', 'pending')
  ), cleaned as (
    update subscribers s
       set state = 'cleaned', cleaned_at = ${at}::timestamptz, updated_at = ${at}, clean_reason = 'hard_bounce', last_message_id = d.message_id
      from formerly d
     -- a number whose state has just changed is not dead: it has opted in or out in the meantime
     where s.list_id = d.list_id and s.phone = d.phone and s.state = d.was
       and s.list_id = any((select array_agg(distinct list_id) from dead)::bigint[])
       and s.phone = any((select array_agg(phone) from dead)::bigint[])
    returning d.account_id, d.message_id, d.log_id, s.list_id, s.phone, d.was
  ), ${recordCleaned(at)}`
