-- Only server/src/log/ writes to these tables.

-- An enum, not text with a check: four bytes, and no check to evaluate on the three updates of each row
-- (docs/decisions/0003-states-of-the-log-are-an-enum.md).
create type message_state as enum
  ('queued', 'submitting', 'sent', 'unknown', 'delivered', 'bounced', 'expired', 'suppressed', 'cancelled');

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

-- Log ids are assigned in blocks of 16,384, so that a slice's ids are consecutive even if other slices are written at
-- the same time.
create sequence message_log_blocks;

-- Creates the partitions of one day; does nothing if they exist. They are created as plain tables and then attached,
-- because creating them as partitions would lock the parent tables against every reader.
create function ensure_log_day(day date) returns void language plpgsql as $$
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
end $$;

-- Reads of several days use the functions below, which read only the partitions of the given days. A statement on message_log or
-- submits opens, locks and plans each partition, also those that it then does not read: with 400 days, seconds per statement.
-- Stable, so that all their statements read the snapshot of the caller; each is planned when it runs, so it is short.

-- The days with log rows that a receipt, a mark or an opt-out may still change, latest first: those of messages that are not closed.
create function open_log_days() returns date[] stable language sql as $$
  with recursive days as (
    select max(logged_on) as day from messages
     where status = 'sending' or (status in ('sent', 'cancelled') and closed_at is null)
    union all
    select (select max(logged_on) from messages
             where (status = 'sending' or (status in ('sent', 'cancelled') and closed_at is null)) and logged_on < days.day)
      from days where days.day is not null
  )
  select coalesce(array_agg(day order by day desc) filter (where day is not null), '{}') from days
$$;

-- The log rows of these phones on these days: the latest `most` of each phone and day. A day that is not kept has none.
create function log_rows(phones bigint[], days date[], most integer) returns setof message_log stable language plpgsql as $$
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
end $$;

-- The submits with these SMSC ids on these days, with the phone and state of their log rows.
create function submits_with_ids(ids text[], days date[])
  returns table (connection_id smallint, smsc_id text, log_id bigint, logged_on date, part smallint, phone bigint, state message_state)
  stable language plpgsql as $$
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
end $$;

-- The number of recipients in each state; changes in the transaction that changes the rows. A separate table with
-- nearly empty pages: the many updates of a row stay on its page and do not rewrite the message's content.
--
-- A broadcast has several counter rows, so that its batches do not wait for each other's commit: each database
-- connection adds to one of them. A single row may be negative; only the sums are meaningful.
create table message_counters (
  message_id bigint not null references messages on delete cascade,
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
  primary key (message_id, counter_row)
) with (fillfactor = 10);

-- The sums of a message's counter rows, in the snapshot of the statement that reads them.
create view message_totals as
select message_id, sum(audience)::bigint as audience, sum(queued)::bigint as queued,
       sum(submitting)::bigint as submitting, sum(sent)::bigint as sent, sum(unknown)::bigint as unknown,
       sum(delivered)::bigint as delivered, sum(bounced)::bigint as bounced, sum(expired)::bigint as expired,
       sum(suppressed)::bigint as suppressed, sum(cancelled)::bigint as cancelled,
       sum(clean_count)::bigint as clean_count, sum(unsubscribe_count)::bigint as unsubscribe_count
  from message_counters group by message_id;

-- The progress of writing a broadcast's audience. The cursor commits with each slice, so that a slice is written once.
create table expansions (
  message_id bigint primary key references messages on delete cascade,
  -- the last phone written
  cursor_phone bigint not null default 0
);

-- The log ids of a closed message to many recipients, so that its rows are found without reading the rest of its day. Until then its
-- chunks have them.
create table message_ranges (
  message_id bigint not null references messages on delete cascade,
  first_log_id bigint not null,
  last_log_id bigint not null,
  primary key (message_id, first_log_id)
);

-- About a thousand log rows of consecutive ids: the unit of work that a gateway leases.
create table send_chunks (
  id bigint generated always as identity primary key,
  message_id bigint not null references messages on delete cascade,
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
  short_code_id bigint not null references short_codes,
  -- whether its message is paused: no gateway leases it then
  paused boolean not null default false,
  -- when its window closes: none of its texts may be sent from then until it has a new due time
  closes_at timestamptz,
  -- number of earlier attempts to submit its texts
  attempt smallint not null default 0,
  -- the location of the phones of all its rows (quiet-hours/locations.ts), so that the next window is computed without
  -- reading the rows; null if no window applies
  location text
) with (fillfactor = 70);
create index send_chunks_open on send_chunks (lane, due_at, id) where done_at is null;
create index send_chunks_message on send_chunks (message_id, first_log_id);
-- Gateways take turns among the open broadcasts, regardless of their numbers of chunks.
create index send_chunks_by_broadcast on send_chunks (message_id, due_at, id)
  where done_at is null and not paused and lane = 2;
-- Gateways step from short code to short code: the chunks of a short code that cannot send now cost the others nothing,
-- regardless of their number.
create index send_chunks_by_code on send_chunks (short_code_id, lane, due_at, id) where done_at is null and not paused;
-- A worker polls for chunks whose window has closed, and for paused chunks.
create index send_chunks_closing on send_chunks (closes_at) where done_at is null and closes_at is not null;
create index send_chunks_paused on send_chunks (message_id) where done_at is null and paused;

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
create index submit_attempts_log on submit_attempts (log_id);
-- Attempts are inserted in the order of their days, so that the deletion of old ones reads a few index pages per day.
create index submit_attempts_day on submit_attempts using brin (logged_on) with (autosummarize = on);

-- What a number received of a list, so that it survives the days of the log and is found without reading them: the number of
-- closed broadcasts, and the last closed message of the list that was sent to it.
create table received_counts (
  list_id bigint not null,
  phone bigint not null,
  messages integer not null,
  last_message_id bigint,
  last_submitted_at timestamptz,
  primary key (list_id, phone)
) with (fillfactor = 80);
