-- Two who make the same day at once: the second waits for the lock, and then asked again by name, for which its session
-- still remembered that there was none. A look at pg_class itself forgets nothing.
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
  execute format('alter table submits attach partition %I for values from (%L) to (%L)', submits_table, day, day + 1);
  execute format('alter table %I drop constraint %I', submits_table, submits_table || '_day');
end $$;
