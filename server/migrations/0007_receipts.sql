-- Receipts that no submit explains yet: they beat their submit_sm_resp, or the response was lost.
-- Kept before they are answered, tried again until they fit or the day is over.
create table receipts (
  id bigint generated always as identity primary key,
  connection_id smallint not null references connections,
  smsc_id text collate "C" not null,
  phone bigint,
  short_code text not null,
  -- our user_message_reference, where the carrier echoes it
  reference integer,
  -- what it says, as read when it came: delivered, bounced or expired; hard or soft; the carrier's own words
  verdict text not null,
  reason text,
  carrier_status text not null,
  submit_date text,
  excerpt text,
  received_at timestamptz not null,
  -- waiting, or how it ended: applied, settled (an unknown row), orphan
  outcome text not null default 'waiting'
    constraint receipts_outcome check (outcome in ('waiting', 'applied', 'settled', 'orphan')),
  tries integer not null default 0,
  try_at timestamptz not null,
  ended_at timestamptz
);
create index receipts_waiting on receipts (try_at) where outcome = 'waiting';
