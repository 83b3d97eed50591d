-- Imports take the values of custom fields; those that are under way have none.
do $$
declare
  staged text;
begin
  for staged in select 'import_rows_' || id from imports where status in ('queued', 'running') loop
    if to_regclass(staged) is not null then
      execute format('alter table %I add column custom_fields jsonb', staged);
    end if;
  end loop;
end $$;
