-- A file of subscribers that was taken in whole and is applied in slices. Its valid rows wait in a table of their own,
-- `import_rows_<id>`, made in the transaction that took the file in and dropped with the last slice: so an upload that
-- breaks off leaves nothing, nobody else's locks are touched, and a server with wal_level=minimal writes the file once.
create table imports (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  list_id bigint not null references lists,
  api_key_id bigint references api_keys,
  status text not null default 'queued'
    constraint imports_status check (status in ('queued', 'running', 'done', 'failed')),
  -- where the consent comes from, for rows that do not say it themselves
  source text,
  -- columns of the file that the caller asked us to pass over
  ignored_columns text[] not null default '{}',
  total_rows bigint not null default 0,
  -- each row of the file is in exactly one of these in the end
  added bigint not null default 0,
  updated bigint not null default 0,
  unchanged bigint not null default 0,
  skipped bigint not null default 0,
  -- the same rows by reason: {"bad_phone": 3}
  skip_reasons jsonb not null default '{}',
  -- the last staged row that is applied, in the order of (phone, line); commits with its slice
  cursor_phone bigint not null default 0,
  cursor_line bigint not null default 0,
  -- why it failed, for people
  fault text,
  created_at timestamptz not null,
  started_at timestamptz,
  completed_at timestamptz
);
create index imports_list on imports (list_id, id);

-- The skipped rows with the lowest line numbers, a thousand at most per import.
create table import_skips (
  import_id bigint not null references imports on delete cascade,
  line bigint not null,
  reason text not null,
  primary key (import_id, line)
);
