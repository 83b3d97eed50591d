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
  -- the values at that moment, of which the payload is made
  facts jsonb not null
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
  -- a test of one webhook, which the feed and replays ignore
  is_test boolean not null default false
);
create index events_account on events (account_id, position);

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

-- Inserts the events of these rows of the ledger. The bits are those of event-types.ts.
create function record_consent_events(changes opts[]) returns void language sql as $$
  insert into event_outbox (account_id, list_id, type, phone, occurred_at, facts)
  select o.account_id, o.list_id, k.type, o.phone, o.created_at,
         jsonb_build_object(
           'optId', o.id, 'method', o.method, 'keyword', o.keyword_name, 'actor', o.actor, 'subscriber', to_jsonb(s),
           'lastOptIn', (select jsonb_build_object('method', i.method, 'keyword', i.keyword_name)
                           from opts i
                          where i.list_id = o.list_id and i.phone = o.phone and i.kind = 'opt_in'
                          order by i.id desc limit 1))
    from unnest(changes) o
    join (values ('opt_in', 'subscribe', 1), ('opt_out', 'unsubscribe', 2), ('cleaned', 'cleaned', 8))
         as k(kind, type, bit) on k.kind = o.kind
    join lists l on l.id = o.list_id and l.deleted_at is null
    join accounts a on a.id = o.account_id
    join subscribers s on s.list_id = o.list_id and s.phone = o.phone
   where (a.event_feed or l.listeners & k.bit <> 0)
     -- Only a subscriber leaves: a number that was asked and never confirmed does not, nor one that has left already. Rows
     -- of the ledger that say it precede this one, because a change of consent locks the subscriber.
     and (o.kind <> 'opt_out'
          or coalesce((select p.kind = 'opt_in' from opts p
                        where p.list_id = o.list_id and p.phone = o.phone and p.id < o.id and p.kind in ('opt_in', 'opt_out')
                        order by p.id desc limit 1), s.subscribed_at is not null))
   order by o.id
$$;

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
