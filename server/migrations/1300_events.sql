-- An event is inserted in the transaction of the change that it reports, and only if somebody receives it. Transactions
-- become visible in another order than that of their ids, so a sequencer moves visible events to `events` and numbers them
-- there: a reader of `events` that continues after a position misses none.
create table event_outbox (
  id bigint generated always as identity primary key,
  account_id bigint not null,
  list_id bigint,
  type text not null,
  -- events of one phone are delivered in their order
  phone bigint,
  occurred_at timestamptz not null,
  -- receives the event, if it is about a transactional message
  callback_url text,
  -- that of the account at that moment
  time_zone text not null,
  -- the values at that moment, of which the payload is made
  facts jsonb not null,
  -- how often it was set aside
  failures smallint not null default 0
);

-- Events that cannot be numbered or queued because of their own values. A job returns them to the outbox when they are due.
create table events_set_aside (
  like event_outbox,
  -- the kind of the latest error, without content
  error text not null,
  set_aside_at timestamptz not null,
  retry_at timestamptz not null,
  primary key (id)
);
create index events_set_aside_list on events_set_aside (list_id, id);

-- The definitions of a list's custom fields before a change of them, for the events of the outbox and those set aside: an event of the list
-- has those of the first row whose `through_id` is not below its id, and without such a row the present ones.
create table event_fields (
  list_id bigint not null,
  through_id bigint not null,
  definitions json not null,
  primary key (list_id, through_id)
);

create table events (
  position bigint primary key,
  account_id bigint not null,
  list_id bigint,
  type text not null,
  phone bigint,
  occurred_at timestamptz not null,
  -- json, not jsonb: the contract fixes the order of the keys
  payload json not null,
  callback_url text,
  -- a test of one webhook or callback, which the feed and replays ignore
  is_test boolean not null default false,
  constraint events_test check (is_test = (position >= 4503599627370496))
);
create index events_account on events (account_id, position);
create index events_occurred on events (occurred_at) where not is_test;
create index events_tests on events (account_id, occurred_at) where is_test;

-- Test events have positions of their own, from 2^52, which no other event reaches: they are taken without a lock, so events of all accounts
-- do not wait for a request that sends one.
create sequence test_positions minvalue 4503599627370496;

-- Returns the first events of an account after a position, in their order, without test events. Only the index on (account_id, position) has this order,
-- and sorting is off: otherwise a plan for an average account reads the events of all others for a small one, and a plan
-- from before the table grew sorts all events of a large one.
create function events_after(account bigint, after bigint, most bigint) returns setof events stable language plpgsql
  set enable_sort = off set enable_bitmapscan = off set enable_seqscan = off as $$
begin
  return query select * from events e
                where (e.account_id, e.position) > (account, after) and (e.account_id, e.position) < (account, 4503599627370496)
                order by e.account_id, e.position limit most;
end $$;

-- The last position; the sequencer locks it. Positions of deleted events are not used again.
create table event_sequence (
  singleton boolean primary key default true constraint event_sequence_singleton check (singleton),
  last_position bigint not null,
  -- the last position whose event is deleted
  deleted_position bigint not null
);
insert into event_sequence (last_position, deleted_position) values (0, 0);

-- One row per restore of a backup: the original may have given the positions between these two to events that the backup does not have.
create table event_gaps (
  last_before bigint primary key,
  first_after bigint not null
);

-- The number of broadcasts of a list that each of these numbers received, in several rows per number, or none. As log_rows, it
-- reads only the days of broadcasts that are not closed.
create function count_received(list bigint, phones bigint[]) returns table (number bigint, messages bigint)
  stable language plpgsql as $$
declare
  open record;
begin
  return query select r.phone, r.messages::bigint from received_counts r where r.list_id = list and r.phone = any(phones);
  for open in select to_char(m.logged_on, 'YYYYMMDD') as day, array_agg(m.id) as ids, array_agg(m.received_through) as counted
                from messages m
               where m.list_id = list and m.kind = 'broadcast' and m.closed_at is null and m.accepted_at is not null
               group by m.logged_on
  loop
    continue when to_regclass('message_log_' || open.day) is null;
    -- planned each time, so it is short
    return query execute format(
      'select phone, count(*) from %I
        where phone = any($1) and message_id = any($2) and id > ($3)[array_position($2, message_id)]
          and (state in (''sent'', ''delivered'') or state = ''expired'' and reason = ''no_receipt'')
        group by phone', 'message_log_' || open.day) using phones, open.ids, open.counted;
  end loop;
end $$;

-- Inserts the events of these rows of the ledger. The bits are those of event-types.ts. plpgsql, which stores its plans; the
-- lateral parts with offset 0 leave them only look-ups by key.
create function record_consent_events(changes opts[]) returns void language plpgsql as $$
begin
  with heard as materialized (
    select o.*, k.type, l.time_zone
      from unnest(changes) o
      join (values ('opt_in', 'subscribe', 1), ('opt_out', 'unsubscribe', 2), ('cleaned', 'cleaned', 8))
           as k(kind, type, bit) on k.kind = o.kind
     cross join lateral (
       select l.listeners, a.event_feed, a.time_zone from lists l join accounts a on a.id = l.account_id
        where l.id = o.list_id and l.deleted_at is null offset 0) l
     where (l.event_feed or l.listeners & k.bit <> 0)
  ), changed as materialized (
    select h.*, to_jsonb(s) as subscriber, i.last_opt_in,
           -- who subscribes for the first time has received no broadcast
           h.kind = 'opt_out' or h.kind = 'opt_in' and s.subscribed_at is distinct from h.created_at as may_have_received
      from heard h
     cross join lateral (select * from subscribers where list_id = h.list_id and phone = h.phone offset 0) s
      left join lateral (
        select jsonb_build_object('method', method, 'keyword', keyword_name) as last_opt_in from opts
         where list_id = h.list_id and phone = h.phone and kind = 'opt_in' order by id desc limit 1) i on true
     -- Only a subscriber leaves: a number that was asked and never confirmed does not, nor one that has left already. Rows
     -- of the ledger that say it precede this one, because a change of consent locks the subscriber.
     where h.kind <> 'opt_out'
        or coalesce((select p.kind = 'opt_in' from opts p
                      where p.list_id = h.list_id and p.phone = h.phone and p.id < h.id and p.kind in ('opt_in', 'opt_out')
                      order by p.id desc limit 1), s.subscribed_at is not null)
  ), received as materialized (
    select c.list_id, r.number, sum(r.messages) as messages
      from (select list_id, array_agg(phone) as phones from changed where may_have_received group by list_id) c
     cross join lateral count_received(c.list_id, c.phones) r
     group by c.list_id, r.number
  )
  insert into event_outbox (account_id, list_id, type, phone, occurred_at, time_zone, facts)
  select c.account_id, c.list_id, c.type, c.phone, c.created_at, c.time_zone,
         jsonb_build_object('optId', c.id, 'subscriber', c.subscriber, 'lastOptIn', c.last_opt_in,
                            'messagesReceived', coalesce(r.messages, 0))
    from changed c left join received r on r.list_id = c.list_id and r.number = c.phone
   order by c.id;
end $$;

-- Returns an id that those of the events of a list without a payload are not below.
create function first_event_without_payload(list bigint) returns bigint stable language plpgsql as $$
begin
  return coalesce(least((select min(id) from event_outbox), (select min(id) from events_set_aside where list_id = list)),
                  9223372036854775807);
end $$;

-- Before the custom fields of a list change, their definitions are stored for its events that have no payload yet. The rows of the outbox, of
-- which a list may have 50,000, are not touched: the sequencer would wait for them. Of an event that is not visible yet, the change
-- is made at the same time, so it may have the fields of before or after it. Definitions that no event needs are deleted.
create function store_fields_of_events() returns trigger language plpgsql as $$
declare
  list bigint := case tg_op when 'DELETE' then old.list_id else new.list_id end;
begin
  delete from event_fields where list_id = list and through_id < first_event_without_payload(list);
  insert into event_fields (list_id, through_id, definitions)
  select list, e.id,
         (select coalesce(json_agg(json_build_object(
                   'key', f.key, 'contentType', f.content_type, 'maxLength', f.max_length, 'pattern', f.pattern,
                   'isEnforced', f.should_validate_regex_via_api, 'defaultValue', f.default_value) order by f.id), '[]')
            from custom_fields f where f.list_id = list)
    from (select greatest((select max(id) from event_outbox), (select max(id) from events_set_aside where list_id = list)) as id) e
   where e.id is not null
      -- no event has become visible since an earlier change
      on conflict (list_id, through_id) do nothing;
  if tg_op = 'DELETE' then return old; end if;
  return new;
end $$;
create trigger custom_fields_events before insert or update or delete on custom_fields
  for each row execute function store_fields_of_events();

-- Returns whether somebody receives events of the list.
create function has_listener(list bigint) returns boolean stable language plpgsql as $$
begin
  return exists (select from lists l join accounts a on a.id = l.account_id
                  where l.id = list and (l.listeners <> 0 or a.event_feed));
end $$;

create function report_opt() returns trigger language plpgsql as $$
begin
  perform record_consent_events(array[row(new.*)::opts]);
  return null;
end $$;

-- Every change of consent is an insert into the ledger, whichever statement it is part of. The trigger is deferred to the
-- end of the transaction, because the profile may be written after the opt-in. Imports, which write many rows with their
-- profiles, call record_consent_events themselves: their rows cost nothing here.
create constraint trigger opts_events after insert on opts deferrable initially deferred
  for each row when (new.method <> 'import' and new.list_id is not null and new.kind in ('opt_in', 'opt_out', 'cleaned')
                     and has_listener(new.list_id))
  execute function report_opt();
