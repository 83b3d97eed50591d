-- Written by `npm run gen` from a migrated database. To change the schema, add a migration: see migrations/README.md.

create type message_state as enum ('queued', 'submitting', 'sent', 'unknown', 'delivered', 'bounced', 'expired', 'suppressed', 'cancelled');

create sequence link_ids;

create sequence message_log_blocks;

create sequence test_positions;

create or replace function advance_phones()
 returns trigger
 language plpgsql
as $function$
begin
  update deliveries set is_behind = false
   where id = any(array(
           select (select d.id from deliveries d where d.endpoint_id = e.endpoint_id and d.phone = e.phone order by d.id limit 1)
             from (select distinct endpoint_id, phone from ended where phone is not null) e))
     and is_behind;
  return null;
end $function$;

create or replace function count_received(list bigint, phones bigint[])
 returns TABLE(number bigint, messages bigint)
 language plpgsql
 STABLE
as $function$
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
end $function$;

create or replace function ensure_log_day(day date)
 returns void
 language plpgsql
as $function$
declare
  suffix text := to_char(day, 'YYYYMMDD');
  log_table text := 'message_log_' || suffix;
  submits_table text := 'submits_' || suffix;
begin
  if to_regclass(submits_table) is not null then return; end if;
  perform pg_advisory_xact_lock(hashtext('ensure_log_day'));
  -- Two sessions may create the same day concurrently. The second one waits for the lock; to_regclass would then still
  -- return null from the session's cache, and a read of pg_class returns the current state.
  if exists (select from pg_class where relname = submits_table and relnamespace = current_schema()::regnamespace) then
    return;
  end if;
  execute format(
    'create table %I (like message_log including defaults,
       constraint %I primary key (id),
       constraint %I check (logged_on >= %L and logged_on < %L)) with (fillfactor = 45)',
    log_table, log_table || '_pkey', log_table || '_day', day, day + 1);
  execute format('create index %I on %I (phone, id)', log_table || '_phone', log_table);
  -- with the check, attaching does not scan the table; it is not needed afterwards
  execute format('alter table message_log attach partition %I for values from (%L) to (%L)', log_table, day, day + 1);
  execute format('alter table %I drop constraint %I', log_table, log_table || '_day');
  execute format(
    'create table %I (like submits including defaults, constraint %I check (logged_on >= %L and logged_on < %L))',
    submits_table, submits_table || '_day', day, day + 1);
  execute format('create index %I on %I (smsc_id, connection_id)', submits_table || '_smsc_id', submits_table);
  -- Submits are searched by log row only to explain one recipient: an index of a few pages per million rows suffices
  -- for that and costs the send path nothing. Concurrent broadcasts interleave their ids, hence several ranges per
  -- block.
  execute format(
    'create index %I on %I using brin (log_id int8_minmax_multi_ops) with (pages_per_range = 32, autosummarize = on)',
    submits_table || '_log_id', submits_table);
  execute format('alter table submits attach partition %I for values from (%L) to (%L)', submits_table, day, day + 1);
  execute format('alter table %I drop constraint %I', submits_table, submits_table || '_day');
end $function$;

create or replace function events_after(account bigint, after bigint, most bigint)
 returns SETOF events
 language plpgsql
 STABLE
 SET enable_sort TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_seqscan TO 'off'
as $function$
begin
  return query select * from events e
                where (e.account_id, e.position) > (account, after) and (e.account_id, e.position) < (account, 4503599627370496)
                order by e.account_id, e.position limit most;
end $function$;

create or replace function first_event_without_payload(list bigint)
 returns bigint
 language plpgsql
 STABLE
as $function$
begin
  return coalesce(least((select min(id) from event_outbox), (select min(id) from events_set_aside where list_id = list)),
                  9223372036854775807);
end $function$;

create or replace function has_listener(list bigint)
 returns boolean
 language plpgsql
 STABLE
as $function$
begin
  return exists (select from lists l join accounts a on a.id = l.account_id
                  where l.id = list and (l.listeners <> 0 or a.event_feed));
end $function$;

create or replace function log_rows(phones bigint[], days date[], most integer)
 returns SETOF message_log
 language plpgsql
 STABLE
as $function$
declare
  partition text;
begin
  for partition in select 'message_log_' || to_char(day, 'YYYYMMDD') from unnest(days) as day loop
    continue when to_regclass(partition) is null;
    begin
      return query execute format(
        'select l.* from unnest($1) p cross join lateral (select * from %I where phone = p order by id desc limit $2) l', partition)
        using phones, most;
    exception when undefined_table then
      -- retention has removed the day since
    end;
  end loop;
end $function$;

create or replace function open_log_days()
 returns date[]
 language sql
 STABLE
as $function$
  with recursive days as (
    select max(logged_on) as day from messages
     where status = 'sending' or (status in ('sent', 'cancelled') and closed_at is null)
    union all
    select (select max(logged_on) from messages
             where (status = 'sending' or (status in ('sent', 'cancelled') and closed_at is null)) and logged_on < days.day)
      from days where days.day is not null
  )
  select coalesce(array_agg(day order by day desc) filter (where day is not null), '{}') from days
$function$;

create or replace function record_consent_events(changes opts[])
 returns void
 language plpgsql
as $function$
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
end $function$;

create or replace function reject_change()
 returns trigger
 language plpgsql
as $function$
begin
  raise exception '% is append-only', tg_table_name;
end $function$;

create or replace function report_opt()
 returns trigger
 language plpgsql
as $function$
begin
  perform record_consent_events(array[row(new.*)::opts]);
  return null;
end $function$;

create or replace function store_fields_of_events()
 returns trigger
 language plpgsql
as $function$
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
end $function$;

create or replace function submits_with_ids(ids text[], days date[])
 returns TABLE(connection_id smallint, smsc_id text, log_id bigint, logged_on date, part smallint, phone bigint, state message_state)
 language plpgsql
 STABLE
as $function$
declare
  suffix text;
begin
  for suffix in select to_char(day, 'YYYYMMDD') from unnest(days) as day loop
    continue when to_regclass('submits_' || suffix) is null;
    return query execute format(
      'select s.connection_id, s.smsc_id, s.log_id, s.logged_on, s.part, l.phone, l.state
         from %I s cross join lateral (select phone, state from %I where id = s.log_id offset 0) l
        where s.smsc_id = any($1)', 'submits_' || suffix, 'message_log_' || suffix) using ids;
  end loop;
end $function$;

create table accounts (
  id bigint not null generated always as identity,
  email text not null,
  username text not null,
  -- the time zone of the times in responses to the account
  time_zone text not null default 'America/Los_Angeles',
  -- may change settings of the whole installation, such as connections; true for the first account
  is_operator boolean not null default false,
  -- whether broadcasts observe quiet hours
  quiet_hours boolean not null default false,
  -- whether texts to given numbers observe them too
  quiet_hours_transactional boolean not null default false,
  -- limit of the calls of all keys together, set by the operator: `calls/seconds` or `off`; null means the
  -- installation's setting
  rate_limit text,
  -- while it is set, the account's keys are rejected, and none of its texts are sent except replies to STOP and HELP
  disabled_at timestamptz,
  -- whether the feed has the events of all lists
  event_feed boolean not null default false,
  created_at timestamptz not null,
  constraint accounts_pkey primary key (id),
  constraint accounts_rate_limit check (rate_limit ~ '^(off|[1-9][0-9]{0,6}/[1-9][0-9]{0,3})$')
);
create index accounts_disabled on accounts (id) where (disabled_at is not null);
create unique index accounts_email_key on accounts (lower(email));

-- Only the SHA-256 of a key is stored; `prefix` finds the row, the hash is compared in constant time. A revoked key
-- remains as a row, because imports and the ledger of consent refer to it.
create table api_keys (
  id bigint not null generated always as identity,
  account_id bigint not null,
  name text not null,
  prefix text not null,
  hash bytea not null,
  scope text not null default 'full',
  -- created in sandbox mode: rejected in production mode, and without a rate limit
  sandbox boolean not null default false,
  -- the key that the sandbox's start banner shows
  seeded boolean not null default false,
  -- the limit that the account chose, `calls/seconds` or `off`, in addition to the one that binds the key
  rate_limit text,
  -- the limit that the operator chose, which the account cannot exceed; null means the installation's setting
  operator_rate_limit text,
  -- the key whose operator limit also binds this one, because it created this one: their calls are counted together
  limited_by bigint,
  -- accurate to the minute, so that few calls write it
  last_used_at timestamptz,
  disabled_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null,
  constraint api_keys_pkey primary key (id),
  constraint api_keys_prefix_key unique (prefix),
  constraint api_keys_operator_rate_limit check (operator_rate_limit ~ '^(off|[1-9][0-9]{0,6}/[1-9][0-9]{0,3})$'),
  constraint api_keys_rate_limit check (rate_limit ~ '^(off|[1-9][0-9]{0,6}/[1-9][0-9]{0,3})$'),
  constraint api_keys_scope check (scope = any (array['full', 'read', 'send'])),
  constraint api_keys_account_id_fkey foreign key (account_id) references accounts(id),
  constraint api_keys_limited_by_fkey foreign key (limited_by) references api_keys(id)
);
create index api_keys_account on api_keys (account_id);

-- The attempts of an endpoint in five minutes. No reference to the endpoint, which may be deleted while attempts are made.
create table attempt_counts (
  endpoint_id bigint not null,
  since timestamptz not null,
  delivered integer not null,
  failed integer not null,
  last_delivered_at timestamp(3) with time zone,
  constraint attempt_counts_pkey primary key (endpoint_id, since)
);
create index attempt_counts_since on attempt_counts (since);

-- The right to open one of a connection's binds. One gateway at a time owns it, through a lease.
create table bind_slots (
  connection_id smallint not null,
  slot smallint not null,
  leased_by uuid,
  lease_until timestamptz,
  bound boolean not null default false,
  -- the latest error of the SMSC or the network that prevented the bind
  last_error text,
  -- since when binds have failed without a success, whichever gateway tried; null if the slot was bound at its last attempt
  failing_since timestamptz,
  changed_at timestamptz not null default now(),
  constraint bind_slots_pkey primary key (connection_id, slot),
  constraint bind_slots_connection_id_fkey foreign key (connection_id) references connections(id) on delete cascade
) with (fillfactor=50);

-- Phone numbers that sent STOP to a short code and have not opted in since. The mark before each text reads them,
-- because a number may be on no list, or may come to another list of the short code. docs/consent.md has the rule.
create table blocks (
  short_code_id bigint not null,
  phone bigint not null,
  since timestamptz not null,
  -- the MO that was the STOP, or the last MO that had arrived before another opt-out: only later ones lift the block
  last_mo_id bigint not null,
  constraint blocks_pkey primary key (short_code_id, phone),
  constraint blocks_short_code_id_fkey foreign key (short_code_id) references short_codes(id)
);

-- The secrets that sign the callbacks of an account's transactional messages, once the owner has read or set one.
create table callback_secrets (
  account_id bigint not null,
  secret bytea not null,
  previous_secret bytea,
  previous_secret_until timestamptz,
  constraint callback_secrets_pkey primary key (account_id),
  constraint callback_secrets_account_id_fkey foreign key (account_id) references accounts(id)
);

-- The files of clicks that are being stored (links/drain.ts). The row of a file that was deleted may remain if its process was
-- killed between the two.
create table click_spools (
  name text not null,
  -- the bytes of the file whose clicks are in the database
  stored bigint not null default 0,
  constraint click_spools_pkey primary key (name)
);

-- What a recipient has clicked. A row exists as long as the message, also when the clicks themselves were deleted.
create table clickers (
  message_id bigint not null,
  phone bigint not null,
  link_id bigint not null,
  click_count bigint not null,
  human_click_count bigint not null,
  first_clicked_at timestamptz not null,
  -- the first click of a person, if there is one
  first_human_clicked_at timestamptz,
  last_clicked_at timestamptz not null,
  constraint clickers_pkey primary key (message_id, phone, link_id),
  constraint clickers_message_id_fkey foreign key (message_id) references messages(id) on delete cascade
) with (fillfactor=70);

create table clicks (
  id bigint not null generated always as identity,
  link_id bigint not null,
  message_id bigint not null,
  phone bigint not null,
  clicked_at timestamptz not null,
  -- the rule that attributes it to a machine; null for a click of a person
  rule text,
  constraint clicks_pkey primary key (id),
  constraint clicks_rule check (rule = any (array['head', 'prefetch', 'scanner', 'before_delivery', 'burst'])),
  constraint clicks_link_id_fkey foreign key (link_id) references links(id) on delete cascade,
  constraint clicks_message_id_fkey foreign key (message_id) references messages(id) on delete cascade
);
create index clicks_clicked_at on clicks (clicked_at);
create index clicks_message on clicks (message_id, id);
create index clicks_phone on clicks (message_id, phone, id);

-- Alarms of a connection that no other row shows: a gateway or worker raises them, and refreshes seen_at while the condition
-- lasts. The other alarms are read from the rows that they are about.
create table connection_alarms (
  connection_id smallint not null,
  name text not null,
  since timestamptz not null,
  seen_at timestamptz not null,
  detail text not null,
  constraint connection_alarms_pkey primary key (connection_id, name),
  constraint connection_alarms_name check (name = any (array['account_rejected', 'one_receipt_per_text'])),
  constraint connection_alarms_connection_id_fkey foreign key (connection_id) references connections(id) on delete cascade
);

-- Our SMPP account at an aggregator or SMSC. Operators edit the row while gateways run; gateways follow without a
-- restart. A receipt is matched within the connection that delivered it.
create table connections (
  id smallint not null generated always as identity,
  name text not null,
  -- whether address and credentials are those of CARILLON_SMPP_URL
  from_environment boolean not null default false,
  -- the settings that CARILLON_SMPP_URL sets, of window, mps and slots. A process without that variable rejects changes
  -- to them too, because the next start of a gateway would undo the change
  environment_names text[] not null default '{}',
  enabled boolean not null default true,
  -- whether it sends the texts of short codes without sending routes
  serves_all boolean not null default false,
  host text,
  port integer,
  tls boolean not null default false,
  -- PEM; null trusts the system's root certificates
  tls_ca text,
  -- the name that the server's certificate must contain, if it differs from the host
  tls_server_name text,
  tls_certificate text,
  -- sealed, like all secrets of a connection
  tls_key bytea,
  system_id text not null default '',
  password bytea,
  system_type text not null default '',
  -- a pair is a transmitter and a receiver
  bind_type text not null default 'transceiver',
  slots smallint not null default 1,
  "window" smallint not null default 10,
  -- maximum number of submit_sm in any second, over all gateways; null means no cap
  mps integer,
  -- caps by the carrier's number: {"31001": 75}
  carrier_mps jsonb not null default '{}',
  -- the alphabet that this SMSC uses for data_coding 0
  charset text not null default 'gsm7',
  long_text text not null default 'udh8',
  service_type text not null default '',
  -- null means derived from the length of the address
  source_ton smallint,
  source_npi smallint,
  dest_ton smallint,
  dest_npi smallint,
  validity_s integer,
  -- the form of validity_period in a submit_sm; off sends none, also none of the text's own deadline
  validity_period text not null default 'relative',
  -- null means the installation's setting
  response_deadline_ms integer,
  receipt_deadline_s integer,
  enquire_link_s integer not null default 15,
  -- the form of the response's id in a receipt: any form, unchanged, hexadecimal or decimal
  receipt_id_form text not null default 'any',
  -- whether a text in parts gets a receipt for each part, or only one
  receipts text not null default 'each_part',
  -- the statuses of this SMSC's own codes: {"receipt": {"4470": "blocked"}, "status": {"0x45": "soft"}}
  error_map jsonb not null default '{}',
  query_sm boolean not null default false,
  query_after_s integer not null default 1800,
  -- whether a text was sent or received through it, or an attempt failed: a search for its rows would read all days of the log
  is_used boolean not null default false,
  -- incremented by each change
  version integer not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint connections_pkey primary key (id),
  constraint connections_name_key unique (name),
  constraint connections_bind_type check (bind_type = any (array['transceiver', 'pair', 'transmitter', 'receiver'])),
  constraint connections_charset check (charset = any (array['gsm7', 'latin1'])),
  constraint connections_dest_npi check ((dest_npi >= 0) and (dest_npi <= 255)),
  constraint connections_dest_ton check ((dest_ton >= 0) and (dest_ton <= 255)),
  constraint connections_enquire_link check ((enquire_link_s >= 1) and (enquire_link_s <= 3600)),
  constraint connections_environment_names check (environment_names <@ '{window,mps,slots}'),
  constraint connections_long_text check (long_text = any (array['udh8', 'udh16', 'sar', 'payload'])),
  constraint connections_mps check ((mps >= 1) and (mps <= 100000)),
  constraint connections_port check ((port >= 1) and (port <= 65535)),
  constraint connections_query_after check ((query_after_s >= 1) and (query_after_s <= 2592000)),
  constraint connections_receipt_deadline check ((receipt_deadline_s >= 1) and (receipt_deadline_s <= 2592000)),
  constraint connections_receipt_id_form check (receipt_id_form = any (array['any', 'as_is', 'hex', 'decimal'])),
  constraint connections_receipts check (receipts = any (array['each_part', 'one_per_text'])),
  constraint connections_response_deadline check ((response_deadline_ms >= 100) and (response_deadline_ms <= 300000)),
  constraint connections_slots check ((slots >= 1) and (slots <= 64)),
  constraint connections_source_npi check ((source_npi >= 0) and (source_npi <= 255)),
  constraint connections_source_ton check ((source_ton >= 0) and (source_ton <= 255)),
  constraint connections_validity check ((validity_s >= 60) and (validity_s <= 2592000)),
  constraint connections_validity_period check (validity_period = any (array['relative', 'absolute', 'off'])),
  constraint connections_window check (("window" >= 1) and ("window" <= 1000))
);

-- Attributes that a list defines for its subscribers besides the profile. The values are in the subscribers' rows.
create table custom_fields (
  id bigint not null generated always as identity,
  list_id bigint not null,
  key text not null,
  label text not null,
  content_type text not null,
  max_length integer not null,
  -- an RE2 pattern that a value must contain
  pattern text,
  default_value text,
  should_validate_regex_via_api boolean not null default false,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint custom_fields_pkey primary key (id),
  constraint custom_fields_key unique (list_id, key),
  constraint custom_fields_label unique (list_id, label),
  constraint custom_fields_content_type check (content_type = any (array['text', 'datetime', 'number'])),
  constraint custom_fields_key_form check (key ~ '^[a-z0-9_]+$'),
  constraint custom_fields_max_length check ((max_length >= 1) and (max_length <= 9999)),
  constraint custom_fields_list_id_fkey foreign key (list_id) references lists(id)
);
create trigger custom_fields_events before INSERT or delete or update on custom_fields FOR EACH ROW execute function store_fields_of_events();

-- The phones of which an endpoint did not receive an event that was given up, until it receives another one of the phone. No
-- reference to the endpoint, which may be deleted while attempts are made.
create table dead_letters (
  endpoint_id bigint not null,
  phone bigint not null,
  -- the last one
  given_up_at timestamptz not null,
  constraint dead_letters_pkey primary key (endpoint_id, phone)
);
create index dead_letters_given_up on dead_letters (given_up_at);

-- Events that an endpoint has not received yet; a delivery ends with the deletion of its row.
create table deliveries (
  id bigint not null generated always as identity,
  endpoint_id bigint not null,
  position bigint not null,
  -- deliveries of one phone are made in the order of their ids
  phone bigint,
  -- attempts that were made
  attempts smallint not null default 0,
  due_at timestamptz not null,
  -- of a replay: made while no other delivery of the endpoint is due, until a later event of the phone waits for it
  is_replay boolean not null default false,
  -- grows with each replay of the event, so that an attempt before it does not end the delivery
  round integer not null default 0,
  -- whether an earlier delivery of the phone must end first: only the first one of each phone is in the indexes of due deliveries
  is_behind boolean not null default false,
  constraint deliveries_pkey primary key (id),
  constraint deliveries_endpoint_id_fkey foreign key (endpoint_id) references endpoints(id) on delete cascade
);
create index deliveries_due on deliveries (endpoint_id, due_at, id) where ((not is_behind) and (not is_replay));
create index deliveries_due_replays on deliveries (endpoint_id, due_at, id) where ((not is_behind) and is_replay);
create unique index deliveries_event on deliveries (endpoint_id, "position");
create index deliveries_phone on deliveries (endpoint_id, phone, id);
create index deliveries_phone_replays on deliveries (endpoint_id, phone, id) where is_replay;
create index deliveries_position on deliveries ("position");
create trigger deliveries_ended AFTER delete on deliveries REFERENCING OLD TABLE as ended for each statement execute function advance_phones();

-- One row per attempt to deliver an event. The last one of a delivery is `delivered` or `dead`.
create table delivery_attempts (
  id bigint not null generated always as identity,
  account_id bigint not null,
  endpoint_id bigint not null,
  position bigint not null,
  type text not null,
  phone bigint,
  is_test boolean not null,
  -- from 1
  attempt smallint not null,
  outcome text not null,
  -- milliseconds, so that a cursor of the log has the exact value
  started_at timestamp(3) with time zone not null,
  duration_ms integer not null,
  -- without its query; null if it is malformed
  url text,
  -- json, not jsonb: in the order in which they were sent, with the values of some only
  request_headers json not null,
  -- of the response, if there was one
  status smallint,
  -- why there was none: a reason of guarded-fetch.ts
  error text,
  response_headers json,
  response bytea,
  constraint delivery_attempts_pkey primary key (id),
  constraint delivery_attempts_outcome check (outcome = any (array['delivered', 'failed', 'dead']))
);
create index delivery_attempts_account on delivery_attempts (account_id, started_at, id);
create index delivery_attempts_endpoint on delivery_attempts (endpoint_id, started_at, id);
create index delivery_attempts_endpoint_failed on delivery_attempts (endpoint_id, started_at, id) where (outcome <> 'delivered');
create index delivery_attempts_failed on delivery_attempts (account_id, started_at, id) where (outcome <> 'delivered');
create index delivery_attempts_phone on delivery_attempts (account_id, phone, started_at, id);
create index delivery_attempts_position on delivery_attempts ("position", endpoint_id, id);

-- The codes of donations that name no message.
create table donation_codes (
  list_id bigint not null,
  kind text not null,
  code text not null,
  donated_at timestamptz not null,
  donation_id bigint not null,
  constraint donation_codes_pkey primary key (list_id, kind, code, donated_at, donation_id),
  constraint donation_codes_kind check (kind = any (array['refcode', 'utm_campaign'])),
  constraint donation_codes_donation_id_fkey foreign key (donation_id) references donations(id) on delete cascade
);

-- Gifts reported by a donation platform, recorded on the subscriber who gave or on the message that prompted the gift.
create table donations (
  id bigint not null generated always as identity,
  list_id bigint not null,
  phone bigint,
  message_id bigint,
  amount numeric(8,2) not null,
  donated_at timestamptz not null,
  donation_platform text not null,
  donation_platform_uid text not null,
  utm_campaign text,
  utm_medium text,
  utm_source text,
  utm_term text,
  utm_content text,
  refcodes text[] not null,
  created_at timestamptz not null,
  constraint donations_pkey primary key (id),
  constraint donations_platform_uid unique (list_id, donation_platform, donation_platform_uid),
  constraint donations_amount check (amount > (0)::numeric),
  constraint donations_source check ((phone is null) <> (message_id is null)),
  constraint donations_list_id_fkey foreign key (list_id) references lists(id),
  constraint donations_message_id_fkey foreign key (message_id) references messages(id)
);
create index donations_list on donations (list_id, id);
create index donations_message on donations (message_id) where (message_id is not null);
create index donations_phone on donations (list_id, phone, id) where (phone is not null);

-- A URL that receives the events of a list, or a host that receives those of transactional messages, each at the URL of its
-- message. One worker at a time delivers to it: the holder of its lease.
create table endpoints (
  id bigint not null generated always as identity,
  account_id bigint not null,
  webhook_id bigint,
  -- scheme, host and port of callback URLs; `others` for those of further hosts, `tests` for test events
  origin text,
  -- sealed; the previous one signs as well until its time is over
  secret bytea,
  previous_secret bytea,
  previous_secret_until timestamptz,
  -- headers that deliveries have in addition, sealed, and their names
  headers bytea,
  header_names text[] not null default '{}',
  -- null without a limit of its own
  calls_per_second integer,
  leased_by uuid,
  leased_until timestamptz,
  -- when a delivery is due, or earlier; null without a delivery
  next_due_at timestamptz,
  -- the time of the first failed attempt since the last success
  failing_since timestamptz,
  -- counts the updates of the webhook: results of attempts before one neither pause nor disable the endpoint
  revision integer not null default 0,
  -- until then there is no attempt, after failures or as the endpoint asked for
  paused_until timestamptz,
  disabled_at timestamptz,
  -- gone: the endpoint responded 410; failing: no attempt succeeded for days; requested: by its owner; deleted: with its webhook
  disabled_reason text,
  constraint endpoints_pkey primary key (id),
  constraint endpoints_origin unique (account_id, origin),
  constraint endpoints_webhook unique (webhook_id),
  constraint endpoints_disabled check ((disabled_at is null) = (disabled_reason is null)),
  constraint endpoints_disabled_reason check (disabled_reason = any (array['gone', 'failing', 'requested', 'deleted'])),
  constraint endpoints_target check ((webhook_id is null) = (origin is not null)),
  constraint endpoints_account_id_fkey foreign key (account_id) references accounts(id),
  constraint endpoints_webhook_id_fkey foreign key (webhook_id) references webhooks(id) on delete cascade
);
create index endpoints_due on endpoints (next_due_at) where ((next_due_at is not null) and (disabled_at is null));
create index endpoints_failing on endpoints (failing_since) where ((failing_since is not null) and (disabled_at is null));

-- The definitions of a list's custom fields before a change of them, for the events of the outbox and those set aside: an event of the list
-- has those of the first row whose `through_id` is not below its id, and without such a row the present ones.
create table event_fields (
  list_id bigint not null,
  through_id bigint not null,
  definitions json not null,
  constraint event_fields_pkey primary key (list_id, through_id)
);

-- One row per restore of a backup: the original may have given the positions between these two to events that the backup does not have.
create table event_gaps (
  last_before bigint not null,
  first_after bigint not null,
  constraint event_gaps_pkey primary key (last_before)
);

-- An event is inserted in the transaction of the change that it reports, and only if somebody receives it. Transactions
-- become visible in another order than that of their ids, so a sequencer moves visible events to `events` and numbers them
-- there: a reader of `events` that continues after a position misses none.
create table event_outbox (
  id bigint not null generated always as identity,
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
  failures smallint not null default 0,
  constraint event_outbox_pkey primary key (id)
);

-- The last position; the sequencer locks it. Positions of deleted events are not used again.
create table event_sequence (
  singleton boolean not null default true,
  last_position bigint not null,
  -- the last position whose event is deleted
  deleted_position bigint not null,
  constraint event_sequence_pkey primary key (singleton),
  constraint event_sequence_singleton check (singleton)
);

create table events (
  position bigint not null,
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
  constraint events_pkey primary key ("position"),
  constraint events_test check (is_test = ("position" >= '4503599627370496'::bigint))
);
create index events_account on events (account_id, "position");
create index events_occurred on events (occurred_at) where (not is_test);
create index events_tests on events (account_id, occurred_at) where is_test;

-- Events that cannot be numbered or queued because of their own values. A job returns them to the outbox when they are due.
create table events_set_aside (
  id bigint not null,
  account_id bigint not null,
  list_id bigint,
  type text not null,
  phone bigint,
  occurred_at timestamptz not null,
  callback_url text,
  time_zone text not null,
  facts jsonb not null,
  failures smallint not null,
  -- the kind of the latest error, without content
  error text not null,
  set_aside_at timestamptz not null,
  retry_at timestamptz not null,
  constraint events_set_aside_pkey primary key (id)
);
create index events_set_aside_list on events_set_aside (list_id, id);

-- The progress of writing a broadcast's audience. The cursor commits with each slice, so that a slice is written once.
create table expansions (
  message_id bigint not null,
  -- the last phone written
  cursor_phone bigint not null default 0,
  constraint expansions_pkey primary key (message_id),
  constraint expansions_message_id_fkey foreign key (message_id) references messages(id) on delete cascade
);

-- Forecasts of a message's parts, price and duration, computed on the real list and stored for a day.
create table flight_plans (
  id bigint not null generated always as identity,
  account_id bigint not null,
  list_id bigint not null,
  -- the message that was planned, if it exists
  message_id bigint,
  content text not null,
  max_parts smallint,
  -- as in messages
  link_base text,
  audience jsonb,
  send_at timestamptz,
  status text not null default 'pending',
  result jsonb,
  created_at timestamptz not null,
  finished_at timestamptz,
  constraint flight_plans_pkey primary key (id),
  constraint flight_plans_status check (status = any (array['pending', 'done', 'failed'])),
  constraint flight_plans_account_id_fkey foreign key (account_id) references accounts(id),
  constraint flight_plans_list_id_fkey foreign key (list_id) references lists(id),
  constraint flight_plans_message_id_fkey foreign key (message_id) references messages(id) on delete cascade
);
create index flight_plans_age on flight_plans (created_at);
create index flight_plans_pending on flight_plans (account_id) where (status = 'pending');

-- The short codes that a list sent from before it moved to another one. A STOP to one of them applies to the list.
create table former_short_codes (
  short_code_id bigint not null,
  list_id bigint not null,
  constraint former_short_codes_pkey primary key (short_code_id, list_id),
  constraint former_short_codes_list_id_fkey foreign key (list_id) references lists(id),
  constraint former_short_codes_short_code_id_fkey foreign key (short_code_id) references short_codes(id)
);

-- Each running process writes its row once a second; /readyz and /metrics read it.
create unlogged table heartbeats (
  role text not null,
  instance_id uuid not null,
  details jsonb not null default '{}',
  -- the process's own metrics, so that one scrape of any api process returns those of all processes
  metrics jsonb,
  seen_at timestamptz not null,
  constraint heartbeats_pkey primary key (role, instance_id)
);

-- A POST with an Idempotency-Key. The stored response commits with the effect, so that neither exists without the
-- other; until then the row marks the request as running, until its lease ends.
create table idempotency_keys (
  api_key_id bigint not null,
  key text collate "C" not null,
  -- SHA-256 of path, query and body; the bytes of an upload arrive last and are hashed in body_hash
  request_hash bytea not null,
  body_hash bytea,
  -- identifies the request that owns the lease; a request that takes over after its end has another token
  token uuid not null,
  lease_until timestamptz not null,
  -- the response, with null in place of each secret
  status smallint,
  body text,
  expires_at timestamptz not null,
  constraint idempotency_keys_pkey primary key (api_key_id, key),
  constraint idempotency_keys_api_key_id_fkey foreign key (api_key_id) references api_keys(id)
);
create index idempotency_keys_expiry on idempotency_keys (expires_at);

-- The skipped rows with the lowest line numbers, at most a thousand per import.
create table import_skips (
  import_id bigint not null,
  line bigint not null,
  reason text not null,
  -- the beginning of the value that is the reason
  value text not null,
  constraint import_skips_pkey primary key (import_id, line),
  constraint import_skips_import_id_fkey foreign key (import_id) references imports(id) on delete cascade
);

-- The first values that could not be read and were left out, at most a thousand per import.
create table import_warnings (
  import_id bigint not null,
  line bigint not null,
  column_name text not null,
  reason text not null,
  value text not null,
  constraint import_warnings_pkey primary key (import_id, line, column_name),
  constraint import_warnings_import_id_fkey foreign key (import_id) references imports(id) on delete cascade
);

-- A file of subscribers that is stored in one transaction and applied in slices. Its valid rows are in a table of their
-- own, `import_rows_<id>`, created in the transaction that stores the file and dropped with the last slice. An aborted
-- upload therefore stores nothing, no other table is locked, and a server with wal_level=minimal writes the file only
-- once.
create table imports (
  id bigint not null generated always as identity,
  account_id bigint not null,
  list_id bigint not null,
  api_key_id bigint,
  status text not null default 'queued',
  -- source of the consent, for rows without their own
  source text,
  -- columns of the file that the caller excluded
  ignored_columns text[] not null default '{}',
  total_rows bigint not null default 0,
  -- size of the rows in their table, of which accounts share a limit while imports are open
  staged_bytes bigint not null default 0,
  -- when the import is done, each row of the file is counted in exactly one of these
  added bigint not null default 0,
  updated bigint not null default 0,
  unchanged bigint not null default 0,
  skipped bigint not null default 0,
  -- the skipped rows by reason: {"bad_phone": 3}
  skip_reasons jsonb not null default '{}',
  -- rows that would have subscribed a number that opted out
  kept_opted_out bigint not null default 0,
  -- numbers that the file opted out or cleaned; their rows are also counted above
  opted_out bigint not null default 0,
  cleaned bigint not null default 0,
  -- values that could not be read and were left out
  warning_count bigint not null default 0,
  -- the last applied row, in the order of (phone, line); commits with its slice
  cursor_phone bigint not null default 0,
  cursor_line bigint not null default 0,
  -- consecutive turns that failed, and when the next one is due
  failures smallint not null default 0,
  retry_at timestamptz,
  -- the reason of a failure, as shown to users
  error text,
  created_at timestamptz not null,
  started_at timestamptz,
  completed_at timestamptz,
  constraint imports_pkey primary key (id),
  constraint imports_status check (status = any (array['queued', 'running', 'done', 'failed'])),
  constraint imports_account_id_fkey foreign key (account_id) references accounts(id),
  constraint imports_api_key_id_fkey foreign key (api_key_id) references api_keys(id),
  constraint imports_list_id_fkey foreign key (list_id) references lists(id)
);
create index imports_list on imports (list_id, id);
create index imports_open on imports (account_id, id) where (status = any (array['queued', 'running']));

-- An MO is stored, then acknowledged, then interpreted; the MOs of one phone in their order.
create table inbound_messages (
  id bigint not null generated always as identity,
  connection_id smallint not null,
  short_code text not null,
  -- null if the source address is no phone number
  phone bigint,
  -- as received
  source_addr text not null default '',
  content text not null,
  -- the bytes as received, for content that we cannot decode
  raw bytea not null,
  data_coding smallint not null,
  esm_class smallint not null default 0,
  -- the user data header, and the place in a longer text, from that header or from sar fields
  udh bytea,
  part_reference integer,
  part_total smallint,
  part_number smallint,
  received_at timestamptz not null,
  -- SHA-256 of the octets. Until the carrier has our response, equal octets are the same MO, sent again; after that, they are
  -- another one, because people send the same word twice
  delivery_key bytea,
  acknowledged_at timestamptz,
  redeliveries integer not null default 0,
  -- why operators see it: the sender is no phone number, or the destination none of our short codes
  problem text,
  -- when the opt-out was committed; its confirmation may still wait for a text that is being submitted
  opted_out_at timestamptz,
  -- the number of lists that the opt-out applied to
  lists_left integer,
  -- opt_out, help, opt_in (it lifted a block), part and reply (a part of a longer text that waits for the others, and one that is reported), other; opt_out from its arrival, so that it is found first. An opt-out that is interpreted without opted_out_at is not applied yet:
  -- no sender is known that it could concern, or its own sender cannot be read
  kind text,
  reply_message_id bigint,
  interpreted_at timestamptz,
  constraint inbound_messages_pkey primary key (id),
  constraint inbound_messages_problem check (problem = any (array['sender', 'destination'])),
  constraint inbound_messages_connection_id_fkey foreign key (connection_id) references connections(id),
  constraint inbound_messages_reply_message_id_fkey foreign key (reply_message_id) references messages(id)
);
create unique index inbound_messages_delivery on inbound_messages (delivery_key) where (acknowledged_at is null);
create index inbound_messages_ended on inbound_messages (interpreted_at) where ((interpreted_at is not null) and ((kind <> 'opt_out') or (opted_out_at is not null)));
create index inbound_messages_opt_outs on inbound_messages (id) where ((interpreted_at is null) and (opted_out_at is null) and (kind = 'opt_out'));
create index inbound_messages_parts on inbound_messages (phone) where (kind = 'part');
create index inbound_messages_phone on inbound_messages (phone, id);
create index inbound_messages_problem on inbound_messages (connection_id, id) where (problem is not null);
create index inbound_messages_received on inbound_messages (short_code, received_at, id);
create index inbound_messages_replies on inbound_messages (phone, short_code, interpreted_at) where (reply_message_id is not null);
create index inbound_messages_unapplied on inbound_messages (connection_id, received_at) where ((kind = 'opt_out') and (opted_out_at is null) and (interpreted_at is not null));
create index inbound_messages_unapplied_code on inbound_messages (short_code, id) where ((kind = 'opt_out') and (opted_out_at is null) and (interpreted_at is not null));
create index inbound_messages_unconfirmed on inbound_messages (opted_out_at, id) where ((interpreted_at is null) and (opted_out_at is not null));
create index inbound_messages_unconfirmed_phone on inbound_messages (phone, short_code) where ((interpreted_at is null) and (opted_out_at is not null));
create index inbound_messages_waiting on inbound_messages (short_code, id) where ((interpreted_at is null) and (opted_out_at is null));
create index inbound_messages_waiting_phone on inbound_messages (phone, id) where ((interpreted_at is null) and (opted_out_at is null));

-- One row: the mode of this database and its state as a whole. A process in the other mode does not start on it.
create table installation (
  only_row boolean not null default true,
  mode text not null,
  -- set by a restore: the copy sends nothing until an operator resumes sending, because the original may still be
  -- running
  sending_paused boolean not null default false,
  created_at timestamptz not null default now(),
  constraint installation_pkey primary key (only_row),
  constraint installation_mode check (mode = any (array['sandbox', 'production'])),
  constraint installation_only_row check (only_row)
);

create table keywords (
  id bigint not null generated always as identity,
  short_code_id bigint not null,
  list_id bigint not null,
  name text not null,
  created_at timestamptz not null,
  released_at timestamptz,
  constraint keywords_pkey primary key (id),
  constraint keywords_name check (name = upper(name)),
  constraint keywords_list_id_fkey foreign key (list_id) references lists(id),
  constraint keywords_short_code_id_fkey foreign key (short_code_id) references short_codes(id)
);
create index keywords_list on keywords (list_id) where (released_at is null);
create unique index keywords_one_owner on keywords (short_code_id, name) where (released_at is null);

-- The links of a message that are sent as short URLs, one for each recipient. The URL of a recipient is computed from the
-- link's id and the phone, so it has no row. The counts change in the transaction that inserts the clicks.
create table links (
  id bigint not null default nextval('link_ids'::regclass),
  message_id bigint not null,
  -- its number among the different links of the content, from 0
  position smallint not null,
  -- as in the content
  link text not null,
  click_count bigint not null default 0,
  -- recipients with a click
  unique_click_count bigint not null default 0,
  -- clicks that no rule attributes to a machine
  human_click_count bigint not null default 0,
  -- recipients with such a click
  unique_human_click_count bigint not null default 0,
  -- those of `click_count` whose row in `clicks` was deleted
  deleted_click_count bigint not null default 0,
  constraint links_pkey primary key (id),
  constraint links_message_id_fkey foreign key (message_id) references messages(id) on delete cascade
) with (fillfactor=50);
create unique index links_message on links (message_id, "position");

-- Changes of a list's counts. Updating the list's own row would make every opt-in wait for the one before it, so each
-- transaction adds a row here; readers sum base and deltas in one snapshot, and a job adds the deltas to the base.
create table list_deltas (
  id bigint not null generated always as identity,
  list_id bigint not null,
  -- the first five digits of the phone numbers that the delta counts, or 0 if number_ranges already counts them
  prefix integer not null,
  subscribed bigint not null default 0,
  unsubscribed bigint not null default 0,
  cleaned bigint not null default 0,
  constraint list_deltas_pkey primary key (id),
  constraint list_deltas_list_id_fkey foreign key (list_id) references lists(id)
);
create index list_deltas_list on list_deltas (list_id);

-- The counts of a list at the end of each day in its account's time zone: a job inserts them after midnight there, and a count of the
-- past cannot be computed later. A day at whose end no worker ran has no row, unless it is the last one; then `recorded_at` says when.
create table list_sizes (
  list_id bigint not null,
  day date not null,
  subscribed bigint not null,
  unsubscribed bigint not null,
  cleaned bigint not null,
  recorded_at timestamptz not null,
  constraint list_sizes_pkey primary key (list_id, day),
  constraint list_sizes_list_id_fkey foreign key (list_id) references lists(id)
);

create table lists (
  id bigint not null generated always as identity,
  account_id bigint not null,
  short_code_id bigint not null,
  name text not null,
  message_yes text,
  message_help text,
  message_stop text,
  message_reply text,
  message_already_subscribed text,
  first_optin_message text not null default '',
  second_optin_message text not null default '',
  -- the vendor's API accepts an address, a boolean or nothing here and returns it unchanged
  email_digest text,
  email_subscribe jsonb,
  email_unsubscribe jsonb,
  opt_in_type text not null default 'single',
  -- hours during which an unanswered opt-in request prevents a second one
  resend_block_hours smallint not null default 48,
  -- hours after an opt-out during which only the subscriber can opt in again
  resubscribe_timeout_hours smallint not null default 48,
  -- whether new subscribers get no welcome text
  bypass_opt_in_response boolean not null default false,
  -- minutes after its due time during which a scheduled message may still start, after an outage of the installation
  scheduled_lateness_minutes integer not null default 60,
  -- the action for unknown texts at the receipt deadline: close them, or requeue them once
  when_unknown text not null default 'never_twice',
  -- whether broadcasts observe quiet hours; and the hours of the recipient's day in which they may be sent
  quiet_hours boolean not null default false,
  -- imports skip rows with an optional value that cannot be read, instead of only the value
  reject_unreadable_values boolean not null default false,
  send_from time,
  send_to time,
  -- the types of events that a webhook of the list receives, one bit each (server/src/events/event-types.ts)
  listeners smallint not null default 0,
  -- whether imports report events
  import_events boolean not null default false,
  -- base of the counts; list_deltas has the changes that are not yet added
  subscribed_count bigint not null default 0,
  unsubscribed_count bigint not null default 0,
  cleaned_count bigint not null default 0,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  deleted_at timestamptz,
  constraint lists_pkey primary key (id),
  constraint lists_opt_in_type check (opt_in_type = any (array['single', 'double'])),
  constraint lists_resend_block check ((resend_block_hours >= 0) and (resend_block_hours <= 48)),
  constraint lists_resubscribe_timeout check ((resubscribe_timeout_hours >= 0) and (resubscribe_timeout_hours <= 720)),
  constraint lists_scheduled_lateness_minutes check ((scheduled_lateness_minutes >= 1) and (scheduled_lateness_minutes <= 10080)),
  constraint lists_send_hours check (((send_from is null) = (send_to is null)) and (send_from < send_to)),
  constraint lists_when_unknown check (when_unknown = any (array['never_twice', 'never_miss'])),
  constraint lists_account_id_fkey foreign key (account_id) references accounts(id),
  constraint lists_short_code_id_fkey foreign key (short_code_id) references short_codes(id)
);
create index lists_account on lists (account_id, id) where (deleted_at is null);
create index lists_short_code on lists (short_code_id, id);

-- The files of an archived day: rows of one account in the order of a MOMT report.
create table log_archive_files (
  day date not null,
  account_id bigint not null,
  file_number integer not null,
  -- as the file store has it
  folder text not null,
  name text not null,
  bytes bigint not null,
  sha256 text not null,
  row_count bigint not null,
  -- the sum of a hash of each row of message_log
  row_hash numeric not null,
  -- the numbers of rows by state
  states jsonb not null,
  -- the row groups: the number of rows, and the position of the first one
  row_groups jsonb not null,
  is_verified boolean not null default false,
  constraint log_archive_files_pkey primary key (day, account_id, file_number),
  constraint log_archive_files_account_id_fkey foreign key (account_id) references accounts(id),
  constraint log_archive_files_day_fkey foreign key (day) references log_archives(day)
);

-- Days of the message log that retention removes, or has removed, and how far that is (reports/archive/). The log of a day without a
-- row is kept.
create table log_archives (
  day date not null,
  -- archiving: its files are being written; archived: they and the manifest are; verified: they were read back and compared with the
  -- log; detached: its tables are no partitions any more, and readers use the archive; dropped: its tables no longer exist
  state text not null default 'archiving',
  -- the last row that is in a complete file: its account, the acceptance of its message, the message, and its log id
  cursor_account_id bigint not null default 0,
  cursor_at timestamptz not null default '1970-01-01 00:00:00+00'::timestamptz,
  cursor_message_id bigint not null default 0,
  cursor_log_id bigint not null default 0,
  -- the folder of the file that is being written: left over if its worker was killed
  open_folder text,
  -- the manifest, as the file store has it
  manifest_folder text,
  manifest_name text,
  manifest_bytes bigint,
  -- the worker that holds the lease names the epoch with each change
  epoch integer not null default 0,
  leased_until timestamptz,
  -- attempts that failed in succession, the latest error, and the time of the next one
  failures smallint not null default 0,
  error text,
  due_at timestamptz not null,
  started_at timestamptz not null,
  verified_at timestamptz,
  dropped_at timestamptz,
  constraint log_archives_pkey primary key (day),
  constraint log_archives_state check (state = any (array['archiving', 'archived', 'verified', 'detached', 'dropped']))
);
create index log_archives_open on log_archives (day) where (state <> 'dropped');

-- Parts and cost of a message: computed when it is sent, and again when it is closed.
create table message_bills (
  message_id bigint not null,
  -- parts of all recipients, and of the recipient with the fewest and with the most
  parts bigint not null,
  least_parts smallint not null,
  most_parts smallint not null,
  -- cost of the parts, without those that the SMSC rejected in its response
  cost numeric(16,6) not null,
  -- the number of suppressed recipients by the reason in their log rows
  suppressions jsonb not null default '{}',
  billed_at timestamptz not null,
  constraint message_bills_pkey primary key (message_id),
  constraint message_bills_message_id_fkey foreign key (message_id) references messages(id) on delete cascade
);

-- The codes in the links of a broadcast, tracked or not, by which donations are attributed to it (donations/attribution.sql.ts).
create table message_codes (
  message_id bigint not null,
  kind text not null,
  code text not null,
  list_id bigint not null,
  -- when the message was accepted: donations before it have another cause
  accepted_at timestamptz not null,
  -- the first of its links with the code, and the number of that link in the content
  link text not null,
  position smallint not null,
  constraint message_codes_pkey primary key (message_id, kind, code),
  constraint message_codes_kind check (kind = any (array['refcode', 'utm_campaign'])),
  constraint message_codes_list_id_fkey foreign key (list_id) references lists(id),
  constraint message_codes_message_id_fkey foreign key (message_id) references messages(id) on delete cascade
);
create unique index message_codes_latest on message_codes (list_id, kind, code, accepted_at, message_id);

-- The number of recipients in each state; changes in the transaction that changes the rows. A separate table with
-- nearly empty pages: the many updates of a row stay on its page and do not rewrite the message's content.
--
-- A broadcast has several counter rows, so that its batches do not wait for each other's commit: each database
-- connection adds to one of them. A single row may be negative; only the sums are meaningful.
create table message_counters (
  message_id bigint not null,
  counter_row smallint not null default 0,
  audience bigint not null default 0,
  queued bigint not null default 0,
  submitting bigint not null default 0,
  sent bigint not null default 0,
  unknown bigint not null default 0,
  delivered bigint not null default 0,
  bounced bigint not null default 0,
  expired bigint not null default 0,
  suppressed bigint not null default 0,
  cancelled bigint not null default 0,
  clean_count bigint not null default 0,
  unsubscribe_count bigint not null default 0,
  constraint message_counters_pkey primary key (message_id, counter_row),
  constraint message_counters_message_id_fkey foreign key (message_id) references messages(id) on delete cascade
) with (fillfactor=10);

-- Work on a message that failed, until it succeeds. After some failures the work is set aside: it is retried rarely, or
-- by an operator.
create table message_failures (
  message_id bigint not null,
  -- the name of the sweep, such as expand
  sweep text not null,
  -- failures in succession
  attempts integer not null,
  -- the kind of the latest error, without values of rows
  error text not null,
  first_failed_at timestamptz not null,
  failed_at timestamptz not null,
  retry_at timestamptz not null,
  set_aside_at timestamptz,
  constraint message_failures_pkey primary key (message_id, sweep),
  constraint message_failures_message_id_fkey foreign key (message_id) references messages(id) on delete cascade
);
create index message_failures_due on message_failures (retry_at);
create index message_failures_set_aside on message_failures (set_aside_at) where (set_aside_at is not null);

-- One row per recipient, durable before anything is sent. No index contains a column that changes after the insert, and
-- pages have free space, so that updates of a row stay on its page (HOT).
create table message_log (
  id bigint not null,
  logged_on date not null,
  message_id bigint not null,
  phone bigint not null,
  state message_state not null,
  -- the reason why it is suppressed or bounced: opted_out, not_subscribed, hard, soft, ...
  reason text,
  -- the carrier's status that decided the state, unchanged: a command_status, or a receipt's stat and err
  carrier_status text,
  part_count smallint not null,
  -- the parts that were delivered, one bit each: the row is delivered when all parts are
  parts_delivered integer not null default 0,
  submitted_at timestamptz,
  closed_at timestamptz,
  -- recipient-specific text; null means the message's content
  content text,
  -- the row's chunk, if it differs from the chunk of the neighboring rows: texts that are retried later move to a new
  -- chunk, so that the other texts of the old chunk do not wait for them
  chunk_id bigint,
  -- when the row was requeued because it was unknown
  requeued_at timestamptz
) partition by range (logged_on);

-- The log ids of a closed message to many recipients, so that its rows are found without reading the rest of its day. Until then its
-- chunks have them.
create table message_ranges (
  message_id bigint not null,
  first_log_id bigint not null,
  last_log_id bigint not null,
  constraint message_ranges_pkey primary key (message_id, first_log_id),
  constraint message_ranges_message_id_fkey foreign key (message_id) references messages(id) on delete cascade
);

-- Everything that we send is a message: a broadcast to a list, a transactional message, or a system text (confirmation,
-- HELP, opt-in question) to one number. Its recipients are rows of message_log.
create table messages (
  id bigint not null generated always as identity,
  account_id bigint not null,
  list_id bigint,
  short_code_id bigint not null,
  kind text not null,
  -- whether a transactional message is the test of a broadcast
  is_test boolean not null default false,
  name text,
  content text not null,
  -- the recipient, if there is exactly one; null for a broadcast
  phone bigint,
  -- the numbers that may be texted. subscribed: the list's subscribers; not_opted_out: numbers that have not opted out
  -- of the list; both without blocked numbers; reply: the sender of the inbound text that this message replies to
  consent text not null,
  -- the selection of the list's subscribers, as in the API: {"tags_any": ["a"], ...}; null means all of them
  audience jsonb,
  part_count smallint not null,
  -- maximum number of parts of its text; null means the contract's limit of 160 characters
  max_parts smallint,
  -- base of the short URLs that are sent instead of the links of its content; null if they are not tracked
  link_base text,
  status text not null,
  -- the reason if Carillon cancelled it: too_late, list_deleted, content
  cancel_reason text,
  -- the day partition of all its log rows, fixed when it is accepted, so that a restart after midnight cannot duplicate
  -- rows
  logged_on date,
  created_at timestamptz not null,
  -- when a scheduled message is due; its audience is the subscribers at that time, even if it starts late
  send_at timestamptz,
  -- requested by the author; when the message is scheduled, local_at is computed from it and send_at
  local_time boolean not null default false,
  -- the wall-clock time at each recipient's location; send_at is the same wall-clock time in the account's time zone
  local_at timestamp,
  -- when a scheduled message starts: send_at, or earlier if a time zone is ahead of the account's
  starts_at timestamptz,
  accepted_at timestamptz,
  -- when its whole audience was written
  expanded_at timestamptz,
  -- when it was paused: none of its texts is sent until it is resumed, and queued rows stay queued
  paused_at timestamptz,
  -- the deadline: recipients that have not been texted by then are suppressed
  deliver_by timestamptz,
  -- whether it observes quiet hours at the phone's location, even if the list and the account do not
  quiet_hours boolean not null default false,
  -- the hours of the day there in which it may be sent
  send_from time,
  send_to time,
  -- when the last row was no longer queued or submitting
  sent_at timestamptz,
  -- when its unknown texts were requeued: the receipt deadline counts from then on
  requeued_at timestamptz,
  -- when it was closed, at its receipt deadline: rows that are still unknown stay unknown
  closed_at timestamptz,
  -- the last log id up to which the texts of a message of a list are in `received_counts`; all of them are when it is closed,
  -- except those of system texts
  received_through bigint not null default 0,
  cancelled_at timestamptz,
  billed_at timestamptz,
  -- when its event `message_sent`, or the latest one about the result of a transactional message, was inserted or would have been
  reported_at timestamptz,
  -- whether the result of a transactional message and the replies to it are events
  is_reported boolean not null default false,
  -- when its result is looked at next, until it is reported
  report_at timestamptz,
  -- receives the result of a transactional message and the replies to it
  webhook_callback_url text,
  constraint messages_pkey primary key (id),
  constraint messages_accepted check ((status = any (array['draft', 'scheduled', 'cancelled'])) or ((accepted_at is not null) and (logged_on is not null))),
  constraint messages_consent check (consent = any (array['subscribed', 'not_opted_out', 'reply'])),
  constraint messages_kind check (kind = any (array['broadcast', 'transactional', 'system'])),
  constraint messages_max_parts check ((max_parts >= 1) and (max_parts <= 10)),
  constraint messages_scheduled check ((status <> 'scheduled') or (send_at is not null)),
  constraint messages_send_hours check (((send_from is null) = (send_to is null)) and (send_from < send_to)),
  constraint messages_starts check ((status <> 'scheduled') or (starts_at is not null)),
  constraint messages_status check (status = any (array['draft', 'scheduled', 'sending', 'sent', 'cancelled'])),
  constraint messages_account_id_fkey foreign key (account_id) references accounts(id),
  constraint messages_list_id_fkey foreign key (list_id) references lists(id),
  constraint messages_short_code_id_fkey foreign key (short_code_id) references short_codes(id)
);
create index messages_accepted on messages (account_id, accepted_at, id) where (accepted_at is not null);
create index messages_answerable on messages (short_code_id, phone, id) where is_reported;
create index messages_cancelled on messages (account_id, id) where ((status = 'cancelled') and (closed_at is null) and ((billed_at is null) or (requeued_at is not null)));
create index messages_deadline on messages (deliver_by) where ((status = 'sending') and (deliver_by is not null));
create index messages_due on messages (starts_at, id) where (status = 'scheduled');
create index messages_ended on messages (account_id, short_code_id, GREATEST(sent_at, requeued_at, cancelled_at)) where ((status = any (array['sent', 'cancelled'])) and (closed_at is null));
create index messages_list on messages (list_id, id) where (kind = 'broadcast');
create index messages_open on messages (id) where (status = 'sending');
create index messages_open_days on messages (logged_on) where ((status = 'sending') or ((status = any (array['sent', 'cancelled'])) and (closed_at is null)));
create index messages_paused on messages (id) where ((status = 'sending') and (paused_at is not null));
create index messages_planned on messages (account_id, status) where (status = any (array['draft', 'scheduled']));
create index messages_results on messages (report_at) where (report_at is not null);
create index messages_unanswerable on messages (short_code_id, phone, id) where ((kind = 'transactional') and (list_id is null) and (not is_reported));
create index messages_unbilled on messages (account_id, id) where ((billed_at is null) and (accepted_at is not null) and (status = any (array['sent', 'cancelled'])));
create index messages_unclosed on messages (sent_at) where ((status = 'sent') and (closed_at is null));
create index messages_uncounted on messages (list_id) where ((kind = 'broadcast') and (closed_at is null) and (accepted_at is not null));
create index messages_unreported on messages (sent_at, id) where ((status = 'sent') and (kind = 'broadcast') and (reported_at is null));

-- The parts of a report's file, which the file store has under `name`; the file is all of them in their order.
create table momt_report_parts (
  report_id bigint not null,
  part_number integer not null,
  name text not null,
  bytes bigint not null,
  constraint momt_report_parts_pkey primary key (report_id, part_number),
  constraint momt_report_parts_report_id_fkey foreign key (report_id) references momt_reports(id)
);

-- The row groups of a Parquet file in their order, as its footer describes them; until the report ends.
create table momt_report_row_groups (
  report_id bigint not null,
  group_number integer not null,
  description text not null,
  constraint momt_report_row_groups_pkey primary key (report_id, group_number),
  constraint momt_report_row_groups_report_id_fkey foreign key (report_id) references momt_reports(id)
);

-- Requested exports of the message log, MT and MO. The contract calls the run of one an import.
create table momt_reports (
  id bigint not null generated always as identity,
  account_id bigint not null,
  date_from timestamptz not null,
  date_to timestamptz not null,
  -- the UTC offsets in the request, Z or -07:00, because the API returns the dates with them
  date_from_offset text not null,
  date_to_offset text not null,
  -- filters; null means all
  direction text,
  statuses text[],
  message_type text,
  short_code text,
  list_id bigint,
  message_id bigint,
  carrier text,
  phone bigint,
  reason text,
  -- the selection of recipients of the message by their clicks (links/clicked.sql.ts), on any of its links or on this one
  clicked text,
  link text,
  format text not null,
  gzip boolean not null,
  webhook_callback_url text,
  import_started_at timestamptz,
  import_completed_at timestamptz,
  total_rows bigint,
  processed_rows bigint not null default 0,
  mo_count bigint not null default 0,
  mt_count bigint not null default 0,
  counts_calculated boolean not null default false,
  run_errors text,
  cancelled boolean,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- what the next slice does (`settle` waits for texts of the period, `file` finishes the file), and where it begins: the acceptance of a
  -- message or the arrival of an MO, its id, and a log id
  stage text not null default 'settle',
  -- on the clock of the database: transactions that began before may add texts to the period
  settles_at timestamptz not null,
  cursor_at timestamptz not null,
  cursor_id bigint not null default 0,
  cursor_log_id bigint not null default 0,
  -- rows that were counted before the first one is written
  counted bigint not null default 0,
  -- turns of its run that failed in succession, and the time of the next one
  failures smallint not null default 0,
  due_at timestamptz not null,
  -- when the file was deleted
  expired_at timestamptz,
  constraint momt_reports_pkey primary key (id),
  constraint momt_reports_clicked check (clicked = any (array['human', 'any', 'not_human', 'none'])),
  constraint momt_reports_clicks check ((clicked is null) or (message_id is not null)),
  constraint momt_reports_direction check (direction = any (array['mo', 'mt'])),
  constraint momt_reports_format check (format = any (array['json', 'csv', 'parquet'])),
  constraint momt_reports_link check ((link is null) or (clicked is not null)),
  constraint momt_reports_period check (date_from <= date_to),
  constraint momt_reports_stage check (stage = any (array['settle', 'count_mt', 'count_mo', 'mt', 'mo', 'footer', 'file'])),
  constraint momt_reports_account_id_fkey foreign key (account_id) references accounts(id)
);
create index momt_reports_account on momt_reports (account_id, id);
create index momt_reports_completed on momt_reports (import_completed_at) where (counts_calculated and (expired_at is null));
create index momt_reports_ended on momt_reports (id) where ((expired_at is null) and (not counts_calculated) and (cancelled or (import_completed_at is not null)));
create index momt_reports_waiting on momt_reports (account_id, id) where ((import_completed_at is null) and (cancelled is null));

-- The latest look-up of a number. The result does not depend on a list, so all accounts share it.
create table number_look_ups (
  phone bigint not null,
  kind text not null,
  carrier integer,
  carrier_name text,
  ported boolean,
  global_carrier_id text,
  global_carrier_name text,
  looked_up_at timestamptz not null,
  constraint number_look_ups_pkey primary key (phone) include (carrier_name),
  constraint number_look_ups_kind check (kind = any (array['mobile', 'landline', 'voip', 'toll_free', 'unreachable', 'unknown']))
);

-- Numbers of a list's subscribers per range of phone numbers. A page deep inside a large list is found by adding up
-- ranges instead of reading all numbers before it. A range is a prefix: the first three digits of the numbers (the area
-- code), or the first five, of which an area code has a hundred. Ranges without subscribers have no row.
create table number_ranges (
  list_id bigint not null,
  prefix integer not null,
  subscribed bigint not null default 0,
  unsubscribed bigint not null default 0,
  cleaned bigint not null default 0,
  constraint number_ranges_pkey primary key (list_id, prefix),
  constraint number_ranges_prefix check (((prefix >= 200) and (prefix <= 999)) or ((prefix >= 20000) and (prefix <= 99999))),
  constraint number_ranges_list_id_fkey foreign key (list_id) references lists(id)
) with (fillfactor=70);

-- The steps of a list's double opt-in, in the order of `step_number`. They remain while the list is set to single.
create table opt_in_requests (
  id bigint not null generated always as identity,
  list_id bigint not null,
  step_number smallint not null,
  collected_data text not null,
  request_message text,
  retry_message text,
  follow_up boolean not null,
  follow_up_hour smallint,
  no_response_message text,
  -- null on the last step means optinsubscriber, on the others nextrequest
  success_action text,
  opt_in_message text,
  second_opt_in_message text,
  bypass_opt_in_response boolean not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint opt_in_requests_pkey primary key (id),
  constraint opt_in_requests_step_number unique (list_id, step_number),
  constraint opt_in_requests_collected_data check (collected_data = any (array['zip_code', 'email_address', 'first_name', 'yes'])),
  constraint opt_in_requests_success_action check (success_action = any (array['nextrequest', 'optinsubscriber'])),
  constraint opt_in_requests_list_id_fkey foreign key (list_id) references lists(id)
);

-- The append-only ledger of consent: actor, time, method, source, and the wording shown.
create table opts (
  id bigint not null generated always as identity,
  account_id bigint not null,
  -- null if the change applies to no list
  list_id bigint,
  -- the short code, if the change applies to everything that it sends: a STOP, an opt-out at the carrier, a lifted block
  short_code_id bigint,
  phone bigint not null,
  kind text not null,
  -- api, import, keyword, start, stop, carrier
  method text not null,
  source text,
  keyword_name text,
  wording text,
  -- when the person consented, opted out or was cleaned, if that is known to differ from the time of this row
  consented_at timestamptz,
  -- the cause: an API key (`key:12`), an import (`import:7`), an inbound text (`mo:99`), a receipt (`mt:123`)
  actor text not null,
  created_at timestamptz not null,
  constraint opts_kind check (kind = any (array['opt_in_requested', 'opt_in', 'opt_out', 'cleaned', 'block_lifted'])),
  constraint opts_scope check ((list_id is not null) or (short_code_id is not null)),
  constraint opts_events trigger DEFERRABLE INITIALLY DEFERRED
);
create unique index opts_list on opts (list_id, phone, id);
create index opts_short_code on opts (short_code_id, phone, id) where (list_id is null);
create trigger opts_append_only before delete or update or truncate on opts for each statement execute function reject_change();
create CONSTRAINT trigger opts_events AFTER INSERT on opts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((new.method <> 'import') and (new.list_id is not null) and (new.kind = any (array['opt_in', 'opt_out', 'cleaned'])) and has_listener(new.list_id))) execute function report_opt();

-- The progress of status queries (query_sm) for texts without a receipt, per connection and day. One gateway at a time
-- continues the round, through a lease; after the last text of the day it starts again at `due_at`.
create table query_rounds (
  connection_id smallint not null,
  logged_on date not null,
  cursor_log_id bigint not null default 0,
  due_at timestamptz not null,
  lease_until timestamptz,
  constraint query_rounds_pkey primary key (connection_id, logged_on),
  constraint query_rounds_connection_id_fkey foreign key (connection_id) references connections(id) on delete cascade
) with (fillfactor=50);

-- The hours of the day during which people may be texted, in their local time. Rows without an account are our reading
-- of the law; an account's own rows for a state replace them for that state on those days.
create table quiet_hours (
  id bigint not null generated always as identity,
  account_id bigint,
  -- US means every state without rows of its own
  state text not null,
  -- 1 is Monday, 7 is Sunday
  weekdays smallint[] not null,
  from_time time not null,
  to_time time not null,
  source text not null,
  as_of date not null,
  constraint quiet_hours_pkey primary key (id),
  constraint quiet_hours_state check (state ~ '^[A-Z]{2}$'),
  constraint quiet_hours_times check (from_time < to_time),
  constraint quiet_hours_weekdays check ((weekdays <@ '{1,2,3,4,5,6,7}'::smallint[]) and (cardinality(weekdays) > 0)),
  constraint quiet_hours_account_id_fkey foreign key (account_id) references accounts(id)
);
create index quiet_hours_account on quiet_hours (account_id, state);

-- Incremented whenever a share of the cap grows. A gateway that increases its share names the version that it read; the
-- update fails if another gateway was faster.
create table rate_caps (
  cap text not null,
  version integer not null default 0,
  constraint rate_caps_pkey primary key (cap)
) with (fillfactor=50);

-- The part of a cap that one gateway may use in any second. The sum of a cap's shares never exceeds the cap.
create table rate_shares (
  -- for example connection:3, short_code:7, carrier:3:31001
  cap text not null,
  gateway uuid not null,
  mps integer not null,
  lease_until timestamptz not null,
  -- whether this gateway has texts waiting for the cap; an idle gateway has only a small share
  wanted boolean not null default false,
  constraint rate_shares_pkey primary key (cap, gateway)
) with (fillfactor=50);

-- The price of one part of a text. The account's own rate takes precedence over the general one, then the rate of the
-- phone's carrier over the one for all carriers, then the latest rate in effect over earlier ones.
create table rates (
  id bigint not null generated always as identity,
  account_id bigint,
  channel text not null,
  -- the carrier of the phone, by its number in the API; null means all carriers
  carrier integer,
  -- US dollars
  price numeric(10,6) not null,
  since date not null,
  -- the document that contains it: a contract, an invoice
  source text not null default '',
  constraint rates_pkey primary key (id),
  constraint rates_once unique nulls not distinct (account_id, channel, carrier, since),
  constraint rates_channel check (channel = any (array['sms', 'mms'])),
  constraint rates_price check (price >= (0)::numeric),
  constraint rates_account_id_fkey foreign key (account_id) references accounts(id)
);

-- Receipts that match no submit yet: they arrived before their submit_sm_resp, or the response was lost. They are
-- stored before they are acknowledged, and retried until they match or the day is over.
create table receipts (
  id bigint not null generated always as identity,
  connection_id smallint not null,
  smsc_id text collate "C" not null,
  phone bigint,
  short_code text not null,
  -- our user_message_reference, if the carrier returns it
  reference integer,
  -- the delivery status, determined on arrival: delivered, bounced or expired; hard or soft; the carrier's own status.
  -- Without a state it cannot be read, and is an orphan from the beginning
  state text,
  reason text,
  carrier_status text not null,
  submit_date text,
  excerpt text,
  received_at timestamptz not null,
  -- waiting, or the result: applied, settled (an unknown row), orphan
  outcome text not null default 'waiting',
  attempts integer not null default 0,
  retry_at timestamptz not null,
  ended_at timestamptz,
  constraint receipts_pkey primary key (id),
  constraint receipts_outcome check (outcome = any (array['waiting', 'applied', 'settled', 'orphan'])),
  constraint receipts_state check ((state is not null) or (outcome = 'orphan')),
  constraint receipts_connection_id_fkey foreign key (connection_id) references connections(id)
);
create index receipts_ended on receipts (ended_at) where (outcome <> 'waiting');
create index receipts_orphans on receipts (connection_id, id) where (outcome = 'orphan');
create index receipts_waiting on receipts (retry_at) where (outcome = 'waiting');

-- What a number received of a list, so that it survives the days of the log and is found without reading them: the number of
-- closed broadcasts, and the last closed message of the list that was sent to it.
create table received_counts (
  list_id bigint not null,
  phone bigint not null,
  messages integer not null,
  last_message_id bigint,
  last_submitted_at timestamptz,
  constraint received_counts_pkey primary key (list_id, phone)
) with (fillfactor=80);

-- A request to deliver events again: those of a range of positions, or those that were given up since a time. Accounts take
-- turns; each turn queues a slice.
create table replays (
  id bigint not null generated always as identity,
  account_id bigint not null,
  endpoint_id bigint not null,
  kind text not null,
  from_position bigint,
  to_position bigint,
  failed_since timestamp(3) with time zone,
  -- capped: there is more than one replay may queue
  state text not null default 'queued',
  -- deliveries that it has queued
  replayed integer not null default 0,
  -- where the next slice begins: after an event, or after an attempt
  after_position bigint,
  after_at timestamp(3) with time zone,
  after_attempt bigint not null default 0,
  failures integer not null default 0,
  retry_at timestamptz,
  created_at timestamp(3) with time zone not null,
  ended_at timestamptz,
  constraint replays_pkey primary key (id),
  constraint replays_ended check ((ended_at is null) = (state = 'queued')),
  constraint replays_kind check (kind = any (array['positions', 'failures'])),
  constraint replays_state check (state = any (array['queued', 'done', 'capped', 'failed'])),
  constraint replays_account_id_fkey foreign key (account_id) references accounts(id),
  constraint replays_endpoint_id_fkey foreign key (endpoint_id) references endpoints(id) on delete cascade
);
create index replays_ended on replays (ended_at) where (ended_at is not null);
create index replays_endpoint on replays (endpoint_id);
create index replays_open on replays (account_id, id) where (ended_at is null);

-- About a thousand log rows of consecutive ids: the unit of work that a gateway leases.
create table send_chunks (
  id bigint not null generated always as identity,
  message_id bigint not null,
  logged_on date not null,
  -- 0 system, 1 transactional, 2 broadcast
  lane smallint not null,
  due_at timestamptz not null,
  first_log_id bigint not null,
  last_log_id bigint not null,
  -- incremented by each lease; a mark that names an older epoch changes nothing
  epoch integer not null default 0,
  leased_by uuid,
  lease_until timestamptz,
  done_at timestamptz,
  short_code_id bigint not null,
  -- whether its message is paused: no gateway leases it then
  paused boolean not null default false,
  -- when its window closes: none of its texts may be sent from then until it has a new due time
  closes_at timestamptz,
  -- number of earlier attempts to submit its texts
  attempt smallint not null default 0,
  -- the location of the phones of all its rows (quiet-hours/locations.ts), so that the next window is computed without
  -- reading the rows; null if no window applies
  location text,
  constraint send_chunks_pkey primary key (id),
  constraint send_chunks_message_id_fkey foreign key (message_id) references messages(id) on delete cascade,
  constraint send_chunks_short_code_id_fkey foreign key (short_code_id) references short_codes(id)
) with (fillfactor=70);
create index send_chunks_by_broadcast on send_chunks (message_id, due_at, id) where ((done_at is null) and (not paused) and (lane = 2));
create index send_chunks_by_code on send_chunks (short_code_id, lane, due_at, id) where ((done_at is null) and (not paused));
create index send_chunks_closing on send_chunks (closes_at) where ((done_at is null) and (closes_at is not null));
create index send_chunks_message on send_chunks (message_id, first_log_id);
create index send_chunks_open on send_chunks (lane, due_at, id) where (done_at is null);
create index send_chunks_paused on send_chunks (message_id) where ((done_at is null) and paused);

-- A short code's sending routes: the connections that send its texts. The lowest tier with a bound connection is used;
-- weights divide the texts within the tier.
create table short_code_routes (
  short_code_id bigint not null,
  connection_id smallint not null,
  tier smallint not null default 0,
  weight smallint not null default 1,
  constraint short_code_routes_pkey primary key (short_code_id, connection_id),
  constraint short_code_routes_tier check ((tier >= 0) and (tier <= 99)),
  constraint short_code_routes_weight check ((weight >= 1) and (weight <= 1000)),
  constraint short_code_routes_connection_id_fkey foreign key (connection_id) references connections(id) on delete cascade,
  constraint short_code_routes_short_code_id_fkey foreign key (short_code_id) references short_codes(id)
);
create index short_code_routes_connection on short_code_routes (connection_id);

-- A short code is any sender address: a short code proper, a ten-digit number or a toll-free number.
create table short_codes (
  id bigint not null generated always as identity,
  account_id bigint not null,
  code text not null,
  -- maximum number of submit_sm in any second from this sender, over all connections; null means no cap
  mps integer,
  created_at timestamptz not null,
  constraint short_codes_pkey primary key (id),
  constraint short_codes_code_key unique (code),
  constraint short_codes_mps check ((mps >= 1) and (mps <= 100000)),
  constraint short_codes_account_id_fkey foreign key (account_id) references accounts(id)
);
create index short_codes_account on short_codes (account_id, id);

-- Consecutive soft bounces of a number on a list, counted as they happen. A delivery in between does not reset the
-- count, because that would cost each delivery a write: the count only selects the numbers whose log is read.
create table soft_bounces (
  list_id bigint not null,
  phone bigint not null,
  consecutive_count integer not null,
  -- the day of the log with the first of them
  first_logged_on date not null,
  -- the latest of them
  message_id bigint not null,
  log_id bigint not null,
  constraint soft_bounces_pkey primary key (list_id, phone)
) with (fillfactor=80);
create index soft_bounces_many on soft_bounces (list_id, phone) where (consecutive_count >= 7);

-- The failed attempts to submit a log row, for the explanation of one recipient.
create table submit_attempts (
  log_id bigint not null,
  logged_on date not null,
  part smallint not null,
  connection_id smallint not null,
  -- when the PDU was written; null if it was not
  written_at timestamptz,
  -- null if there was no response
  response_ms integer,
  -- the name of the command_status, or `no response` or `not written`
  outcome text not null
);
create index submit_attempts_day on submit_attempts using brin (logged_on) with (autosummarize='on');
create index submit_attempts_log on submit_attempts (log_id);

-- The log row of an SMSC id; insert-only.
create table submits (
  connection_id smallint not null,
  smsc_id text collate "C" not null,
  log_id bigint not null,
  part smallint not null,
  logged_on date not null,
  -- when the PDU was written, and the time until its response
  written_at timestamptz,
  response_ms integer,
  -- An SMSC may assign one id to two texts; the phone identifies the text of a receipt. Null matches any phone.
  phone bigint,
  -- the id as the SMSC wrote it, if that differs from our normalized form: query_sm must contain it unchanged
  spelling text collate "C"
) partition by range (logged_on);

-- Updates of many subscribers, or deferred updates of one, that run after the request has returned. A list's changes
-- are applied in the order of their ids, each slice in one transaction with the cursor; a completed change is deleted.
-- Accounts take turns of one slice.
create table subscriber_changes (
  id bigint not null generated always as identity,
  account_id bigint not null,
  list_id bigint not null,
  kind text not null,
  -- the numbers that are changed; null means the whole list
  phones bigint[],
  tags text[] not null default '{}',
  profile jsonb,
  -- the last number that has been processed
  cursor_phone bigint not null default 0,
  -- consecutive turns that failed, and when the next one is due
  failures smallint not null default 0,
  retry_at timestamptz,
  created_at timestamptz not null,
  constraint subscriber_changes_pkey primary key (id),
  constraint subscriber_changes_kind check (kind = any (array['add_tags', 'replace_tags', 'remove_tags', 'update_profile'])),
  constraint subscriber_changes_account_id_fkey foreign key (account_id) references accounts(id),
  constraint subscriber_changes_list_id_fkey foreign key (list_id) references lists(id)
);
create index subscriber_changes_account on subscriber_changes (account_id, id);
create index subscriber_changes_list on subscriber_changes (list_id, id);

-- One phone number on one list, with its consent state. The state is derived: `opts` is the record of consent.
create table subscribers (
  id bigint not null generated always as identity,
  list_id bigint not null,
  phone bigint not null,
  state text not null,
  first_name text not null default '',
  last_name text not null default '',
  email text not null default '',
  zip_code text not null default '',
  birthdate text not null default '',
  gender text,
  -- the code avoids the violation where it can: an import and a bulk change leave out tags beyond the limit
  tags text[] not null default '{}',
  -- values by key: strings, numbers, and instants as UTC strings with milliseconds. The value of a deleted field
  -- remains but is not shown
  custom_fields jsonb not null default '{}',
  carrier integer not null default 0,
  carrier_name text,
  -- the carrier in a second numbering scheme, which some look-ups return as well
  global_carrier_id text,
  global_carrier_name text,
  -- the method by which the number first opted in
  opt_in_method text,
  api_source text,
  keyword_name text,
  -- time of the first subscription; an opt-out or a later subscription does not change it
  subscribed_at timestamptz,
  -- time of the latest subscription: numbers that joined after a broadcast was accepted are not in its audience
  opted_in_at timestamptz,
  -- time of the latest opt-in request, while it is unanswered
  opt_in_requested_at timestamptz,
  opted_out_at timestamptz,
  cleaned_at timestamptz,
  -- why it was cleaned (hard_bounce, soft_bounces), and the message whose text bounced last
  clean_reason text,
  last_message_id bigint,
  created_at timestamptz not null,
  -- when its state, profile, tags or carrier was last written after that; null if it was not
  updated_at timestamptz,
  constraint subscribers_pkey primary key (list_id, phone) include (state),
  constraint subscribers_gender check (gender = any (array['Male', 'Female'])),
  constraint subscribers_phone check ((phone >= 2000000000) and (phone <= '9999999999'::bigint)),
  constraint subscribers_state check (state = any (array['pending', 'subscribed', 'unsubscribed', 'cleaned'])),
  constraint subscribers_tags check (cardinality(tags) <= 1000),
  constraint subscribers_list_id_fkey foreign key (list_id) references lists(id)
) with (fillfactor=90);
create index subscribers_cleaned on subscribers (list_id, phone) where (state = 'cleaned');
create index subscribers_unsubscribed on subscribers (list_id, phone) where (state = 'unsubscribed');

-- A user of an account. The password is an argon2id hash in the usual text form, `$argon2id$v=19$m=...`.
create table users (
  id bigint not null generated always as identity,
  account_id bigint not null,
  email text not null,
  role text not null,
  password_hash text not null,
  created_at timestamptz not null,
  constraint users_pkey primary key (id),
  constraint users_role check (role = any (array['owner', 'editor', 'viewer'])),
  constraint users_account_id_fkey foreign key (account_id) references accounts(id)
);
create index users_account on users (account_id, id);
create unique index users_email_key on users (lower(email));

-- The callbacks of a list's webhooks, with the events that each receives.
create table webhooks (
  id bigint not null generated always as identity,
  list_id bigint not null,
  callback_url text not null,
  subscribe boolean not null default false,
  unsubscribe boolean not null default false,
  message_sent boolean not null default false,
  cleaned boolean not null default false,
  reply_received boolean not null default false,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- from then on, it does not exist for the API; a job deletes its rows in slices
  deleted_at timestamptz,
  constraint webhooks_pkey primary key (id),
  constraint webhooks_list_id_fkey foreign key (list_id) references lists(id)
);
create index webhooks_deleted on webhooks (id) where (deleted_at is not null);
create index webhooks_list on webhooks (list_id, id) where (deleted_at is null);
