/**
 * The part of a statement that removes dead numbers: `moved` is a CTE of log rows (message_id, phone, state, reason)
 * that this statement has just changed. Those bounced for good leave the list of their message, with the ledger and the
 * list's counts, in the very commit that records the bounce. CTE `cleaned` then has (message_id, list_id, phone).
 */
export const cleanDeadNumbers = /* sql */ `
  dead as materialized (
    select distinct on (m.list_id, b.phone) m.account_id, m.list_id, m.id as message_id, b.phone, b.id as log_id
      from moved b
      -- lateral and offset, and below the arrays, leave the planner one choice: look-ups by key
     cross join lateral (select id, account_id, list_id from messages where id = b.message_id offset 0) m
     where b.state = 'bounced' and b.reason = 'hard' and m.list_id is not null
     order by m.list_id, b.phone, b.id desc
  ), cleaned as (
    update subscribers s set state = 'cleaned', cleaned_at = clock_timestamp()
      from dead d
     where s.list_id = d.list_id and s.phone = d.phone and s.state = 'subscribed'
       and s.list_id = any((select array_agg(distinct list_id) from dead)::bigint[])
       and s.phone = any((select array_agg(phone) from dead)::bigint[])
    returning d.account_id, d.message_id, d.log_id, s.list_id, s.phone
  ), cleaned_opts as (
    insert into opts (account_id, list_id, phone, kind, method, actor, created_at)
    select account_id, list_id, phone, 'cleaned', 'carrier', 'mt:' || log_id, clock_timestamp() from cleaned
  ), cleaned_deltas as (
    insert into list_deltas (list_id, prefix, subscribed, cleaned)
    select list_id, phone / 100000, -count(*), count(*) from cleaned group by list_id, phone / 100000
  )`
