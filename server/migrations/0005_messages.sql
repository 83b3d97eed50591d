-- Every text we send is a message: a broadcast to a list, a transactional text, or a system text
-- (confirmation, HELP, opt-in question) to one number. Its recipients are rows of message_log.
create table messages (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  list_id bigint references lists,
  short_code_id bigint not null references short_codes,
  kind text not null constraint messages_kind check (kind in ('broadcast', 'transactional', 'system')),
  name text,
  content text not null,
  -- the one recipient; null for a broadcast
  phone bigint,
  -- who may be texted: the list's subscribers, anyone who has not opted out of it, or whoever just texted us
  consent text not null constraint messages_consent check (consent in ('subscribed', 'not_opted_out', 'answer')),
  part_count smallint not null,
  status text not null constraint messages_status check (status in ('draft', 'scheduled', 'sending', 'sent', 'cancelled')),
  -- the day partition of all its log rows, fixed when it was accepted, so that a restart past midnight cannot double it
  logged_on date not null,
  accepted_at timestamptz not null,
  -- the whole audience is written
  expanded_at timestamptz,
  -- no recipient is queued or submitting any more
  sent_at timestamptz,
  -- past the receipt deadline: what is still unknown stays so
  closed_at timestamptz,
  cancelled_at timestamptz
);
create index messages_list on messages (list_id, id) where kind = 'broadcast';
create index messages_open on messages (id) where status = 'sending';
create index messages_unclosed on messages (sent_at) where status = 'sent' and closed_at is null;

-- How many recipients are in each state; changes in the transaction that moves the rows. A table of its
-- own, half empty, so that the many updates stay on one page and leave the text alone.
create table message_counters (
  message_id bigint primary key references messages on delete cascade,
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
  unsubscribe_count bigint not null default 0
) with (fillfactor = 10);

-- How far a broadcast's audience has been written. The cursor commits with each slice, which makes a slice happen once.
create table expansions (
  message_id bigint primary key references messages on delete cascade,
  -- the last phone written
  cursor_phone bigint not null default 0
);

-- About a thousand log rows of consecutive ids: the unit that a gateway leases.
create table send_chunks (
  id bigint generated always as identity primary key,
  message_id bigint not null references messages on delete cascade,
  logged_on date not null,
  -- 0 system, 1 transactional, 2 broadcast
  lane smallint not null,
  due_at timestamptz not null,
  first_log_id bigint not null,
  last_log_id bigint not null,
  -- counts the leases; a mark that names an older one changes nothing
  epoch integer not null default 0,
  leased_by uuid,
  lease_until timestamptz,
  done_at timestamptz
) with (fillfactor = 70);
create index send_chunks_open on send_chunks (lane, due_at, id) where done_at is null;
create index send_chunks_message on send_chunks (message_id, first_log_id);
