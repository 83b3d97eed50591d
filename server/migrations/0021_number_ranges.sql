-- How many of a list's numbers are in each range of numbers, so that a page deep inside a large list is found by adding
-- up ranges instead of walking over all numbers before it. A range is a prefix: the first three digits of the numbers
-- (the area), or the first five, of which an area has a hundred. Ranges without numbers have no row.
create table number_ranges (
  list_id bigint not null references lists,
  prefix integer not null constraint number_ranges_prefix check (prefix between 200 and 999 or prefix between 20000 and 99999),
  subscribed bigint not null default 0,
  unsubscribed bigint not null default 0,
  cleaned bigint not null default 0,
  primary key (list_id, prefix)
) with (fillfactor = 70);

lock table subscribers, list_deltas in share row exclusive mode;

insert into number_ranges (list_id, prefix, subscribed, unsubscribed, cleaned)
select list_id, prefix, count(*) filter (where state = 'subscribed'), count(*) filter (where state = 'unsubscribed'),
       count(*) filter (where state = 'cleaned')
  from subscribers cross join lateral (values (phone / 100000), (phone / 10000000)) as digits (prefix)
 where state <> 'pending'
 group by list_id, prefix;

with folded as (delete from list_deltas returning list_id, subscribed, unsubscribed, cleaned)
update lists l
   set subscribed_count = l.subscribed_count + s.subscribed, unsubscribed_count = l.unsubscribed_count + s.unsubscribed,
       cleaned_count = l.cleaned_count + s.cleaned
  from (select list_id, sum(subscribed) as subscribed, sum(unsubscribed) as unsubscribed, sum(cleaned) as cleaned
          from folded group by list_id) s
 where l.id = s.list_id;

-- The first five digits of the number or numbers that a delta is about, or 0 when number_ranges knows of it already.
alter table list_deltas add column prefix integer not null;

-- Few are in these states, and a page of them should not have to look at everybody else.
create index subscribers_unsubscribed on subscribers (list_id, phone) where state = 'unsubscribed';
create index subscribers_cleaned on subscribers (list_id, phone) where state = 'cleaned';
