-- What may be asked of one recipient: the tries that came to nothing, and the submits of a log row.
create table submit_attempts (
  log_id bigint not null,
  logged_on date not null,
  part smallint not null,
  connection_id smallint not null,
  -- when the PDU was written; null when it never was
  written_at timestamptz,
  -- null when no answer came
  answer_ms integer,
  -- the command_status by its name, or `no answer`, `not written`
  outcome text not null
);
create index submit_attempts_log on submit_attempts (log_id);

-- A submit is looked up by its log row only when somebody asks for an explanation: a few pages a million rows are enough
-- for that, and cost the send path nothing. Several broadcasts at once interleave their ids, hence the several ranges.
do $$
declare
  day record;
begin
  for day in select inhrelid::regclass as name from pg_inherits where inhparent = 'submits'::regclass loop
    execute format(
      'create index %I on %s using brin (log_id int8_minmax_multi_ops) with (pages_per_range = 32, autosummarize = on)',
      trim(both '"' from day.name::text) || '_log_id', day.name);
  end loop;
end $$;

create or replace function ensure_log_day(day date) returns void language plpgsql as $$
declare
  suffix text := to_char(day, 'YYYYMMDD');
  log_table text := 'message_log_' || suffix;
  submits_table text := 'submits_' || suffix;
begin
  if to_regclass(submits_table) is not null then return; end if;
  perform pg_advisory_xact_lock(hashtext('ensure_log_day'));
  if exists (select from pg_class where relname = submits_table and relnamespace = current_schema()::regnamespace) then
    return;
  end if;
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
  execute format(
    'create index %I on %I using brin (log_id int8_minmax_multi_ops) with (pages_per_range = 32, autosummarize = on)',
    submits_table || '_log_id', submits_table);
  execute format('alter table submits attach partition %I for values from (%L) to (%L)', submits_table, day, day + 1);
  execute format('alter table %I drop constraint %I', submits_table, submits_table || '_day');
end $$;
