-- A file of subscribers that is stored in one transaction and applied in slices. Its valid rows are in a table of their
-- own, `import_rows_<id>`, created in the transaction that stores the file and dropped with the last slice. An aborted
-- upload therefore stores nothing, no other table is locked, and a server with wal_level=minimal writes the file only
-- once.
create table imports (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  list_id bigint not null references lists,
  api_key_id bigint references api_keys,
  status text not null default 'queued'
    constraint imports_status check (status in ('queued', 'running', 'done', 'failed')),
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
  completed_at timestamptz
);
create index imports_list on imports (list_id, id);
-- Accounts with open imports take turns of one slice.
create index imports_open on imports (account_id, id) where status in ('queued', 'running');

-- The skipped rows with the lowest line numbers, at most a thousand per import.
create table import_skips (
  import_id bigint not null references imports on delete cascade,
  line bigint not null,
  reason text not null,
  -- the beginning of the value that is the reason
  value text not null,
  primary key (import_id, line)
);

-- The first values that could not be read and were left out, at most a thousand per import.
create table import_warnings (
  import_id bigint not null references imports on delete cascade,
  line bigint not null,
  column_name text not null,
  reason text not null,
  value text not null,
  primary key (import_id, line, column_name)
);
