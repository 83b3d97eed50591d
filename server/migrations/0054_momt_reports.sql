-- Orders for an export of the message log, both directions. The contract calls the run of one an import.
create table momt_reports (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  date_from timestamptz not null,
  date_to timestamptz not null,
  -- as the caller wrote them, Z or -07:00, because they are given back so
  date_from_offset text not null,
  date_to_offset text not null,
  webhook_callback_url text,
  import_started_at timestamptz,
  import_completed_at timestamptz,
  s3_url text,
  total_rows bigint,
  processed_rows bigint not null default 0,
  mo_count bigint not null default 0,
  mt_count bigint not null default 0,
  counts_calculated boolean not null default false,
  run_errors text,
  cancelled boolean,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint momt_reports_period check (date_from <= date_to)
);
create index momt_reports_account on momt_reports (account_id, id);
create index momt_reports_waiting on momt_reports (id) where import_completed_at is null;
