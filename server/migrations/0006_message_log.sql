-- An enum, not text with a check: four bytes, and no check to evaluate on the three updates each row gets.
create type message_state as enum
  ('queued', 'submitting', 'sent', 'unknown', 'delivered', 'bounced', 'expired', 'suppressed', 'cancelled');

-- One row per recipient, durable before anything is sent. No index holds a column that changes after
-- insert, and pages keep room, so that the updates of a row stay on its page (HOT).
create table message_log (
  id bigint not null,
  logged_on date not null,
  message_id bigint not null,
  phone bigint not null,
  state message_state not null,
  -- why it is suppressed, or how it bounced: opted_out, not_subscribed, hard, soft, ...
  reason text,
  -- the status that decided it, as the carrier spelled it: a command_status or a receipt's stat and err
  carrier_status text,
  part_count smallint not null,
  -- the parts that arrived, one bit each: delivered when all have
  parts_delivered integer not null default 0,
  submitted_at timestamptz,
  closed_at timestamptz
) partition by range (logged_on);

-- Which log row an SMSC id stands for; insert-only.
create table submits (
  connection_id smallint not null,
  smsc_id text collate "C" not null,
  log_id bigint not null,
  part smallint not null,
  logged_on date not null
) partition by range (logged_on);

-- Log ids are handed out in blocks of 16,384, so that a slice's ids are consecutive whatever runs beside it.
create sequence message_log_blocks;

-- Makes the partitions of one day, harmlessly twice. They are built aside and then attached,
-- because creating them in place would lock the parents against every reader.
create function ensure_log_day(day date) returns void language plpgsql as $$
declare
  suffix text := to_char(day, 'YYYYMMDD');
  log_table text := 'message_log_' || suffix;
  submits_table text := 'submits_' || suffix;
begin
  if to_regclass(submits_table) is not null then return; end if;
  perform pg_advisory_xact_lock(hashtext('ensure_log_day'));
  if to_regclass(submits_table) is not null then return; end if;
  execute format(
    'create table %I (like message_log including defaults,
       constraint %I primary key (id),
       constraint %I check (logged_on >= %L and logged_on < %L)) with (fillfactor = 45)',
    log_table, log_table || '_pkey', log_table || '_day', day, day + 1);
  execute format('create index %I on %I (phone, id)', log_table || '_phone', log_table);
  execute format('alter table message_log attach partition %I for values from (%L) to (%L)', log_table, day, day + 1);
  execute format('alter table %I drop constraint %I', log_table, log_table || '_day');
  execute format(
    'create table %I (like submits including defaults, constraint %I check (logged_on >= %L and logged_on < %L))',
    submits_table, submits_table || '_day', day, day + 1);
  execute format('create index %I on %I (smsc_id, connection_id)', submits_table || '_smsc_id', submits_table);
  execute format('alter table submits attach partition %I for values from (%L) to (%L)', submits_table, day, day + 1);
  execute format('alter table %I drop constraint %I', submits_table, submits_table || '_day');
end $$;
