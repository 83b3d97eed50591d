-- Requested exports of the message log, MT and MO. The contract calls the run of one an import.
create table momt_reports (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  date_from timestamptz not null,
  date_to timestamptz not null,
  -- the UTC offsets in the request, Z or -07:00, because the API returns the dates with them
  date_from_offset text not null,
  date_to_offset text not null,
  -- filters; null means all
  direction text constraint momt_reports_direction check (direction in ('mo', 'mt')),
  statuses text[],
  message_type text,
  short_code text,
  list_id bigint,
  message_id bigint,
  carrier text,
  phone bigint,
  reason text,
  -- the selection of recipients of the message by their clicks (links/clicked.sql.ts), on any of its links or on this one
  clicked text constraint momt_reports_clicked check (clicked in ('human', 'any', 'not_human', 'none')),
  link text,
  format text not null constraint momt_reports_format check (format in ('json', 'csv', 'parquet')),
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
  stage text not null default 'settle'
    constraint momt_reports_stage check (stage in ('settle', 'count_mt', 'count_mo', 'mt', 'mo', 'footer', 'file')),
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
  constraint momt_reports_period check (date_from <= date_to),
  constraint momt_reports_clicks check (clicked is null or message_id is not null),
  constraint momt_reports_link check (link is null or clicked is not null)
);
create index momt_reports_account on momt_reports (account_id, id);
create index momt_reports_waiting on momt_reports (account_id, id) where import_completed_at is null and cancelled is null;
create index momt_reports_completed on momt_reports (import_completed_at) where counts_calculated and expired_at is null;
-- Cancelled and failed reports with files that are to be deleted.
create index momt_reports_ended on momt_reports (id)
  where expired_at is null and not counts_calculated and (cancelled or import_completed_at is not null);

-- The parts of a report's file, which the file store has under `name`; the file is all of them in their order.
create table momt_report_parts (
  report_id bigint not null references momt_reports,
  part_number integer not null,
  name text not null,
  bytes bigint not null,
  primary key (report_id, part_number)
);

-- The row groups of a Parquet file in their order, as its footer describes them; until the report ends.
create table momt_report_row_groups (
  report_id bigint not null references momt_reports,
  group_number integer not null,
  description text not null,
  primary key (report_id, group_number)
);

-- Days of the message log that retention removes, or has removed, and how far that is (reports/archive/). The log of a day without a
-- row is kept.
create table log_archives (
  day date primary key,
  -- archiving: its files are being written; archived: they and the manifest are; verified: they were read back and compared with the
  -- log; detached: its tables are no partitions any more, and readers use the archive; dropped: its tables no longer exist
  state text not null default 'archiving' constraint log_archives_state
    check (state in ('archiving', 'archived', 'verified', 'detached', 'dropped')),
  -- the last row that is in a complete file: its account, the acceptance of its message, the message, and its log id
  cursor_account_id bigint not null default 0,
  cursor_at timestamptz not null default 'epoch',
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
  dropped_at timestamptz
);
create index log_archives_open on log_archives (day) where state <> 'dropped';

-- The files of an archived day: rows of one account in the order of a MOMT report.
create table log_archive_files (
  day date not null references log_archives,
  account_id bigint not null references accounts,
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
  primary key (day, account_id, file_number)
);

-- Gifts reported by a donation platform, recorded on the subscriber who gave or on the message that prompted the gift.
create table donations (
  id bigint generated always as identity primary key,
  list_id bigint not null references lists,
  phone bigint,
  message_id bigint references messages,
  amount numeric(8, 2) not null constraint donations_amount check (amount > 0),
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
  constraint donations_source check ((phone is null) <> (message_id is null)),
  -- a second report with the same uid is about the same gift
  constraint donations_platform_uid unique (list_id, donation_platform, donation_platform_uid)
);
-- The codes of donations that name no message.
create table donation_codes (
  list_id bigint not null,
  kind text not null constraint donation_codes_kind check (kind in ('refcode', 'utm_campaign')),
  code text not null,
  donated_at timestamptz not null,
  donation_id bigint not null references donations on delete cascade,
  primary key (list_id, kind, code, donated_at, donation_id)
);
create index donations_list on donations (list_id, id);
create index donations_phone on donations (list_id, phone, id) where phone is not null;
create index donations_message on donations (message_id) where message_id is not null;
