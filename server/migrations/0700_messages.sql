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
  -- the numbers that may be texted: the list's subscribers; numbers that have not opted out of the list; the same without
  -- those that sent STOP to the short code; the sender of the inbound text that this message replies to
  consent text not null
    constraint messages_consent check (consent in ('subscribed', 'not_opted_out', 'not_blocked', 'answer')),
  -- the selection among the list's subscribers, as the API spells it: {"tags_any": ["a"], ...}; null means all of them
  audience jsonb,
  part_count smallint not null,
  -- most parts that its text may have; null means the contract's 160 characters
  max_parts smallint constraint messages_max_parts check (max_parts between 1 and 10),
  status text not null constraint messages_status check (status in ('draft', 'scheduled', 'sending', 'sent', 'cancelled')),
  -- why we cancelled it ourselves: too_late, list_deleted
  cancel_reason text,
  -- the day partition of all its log rows, fixed when it is accepted, so that a restart past midnight cannot double it
  logged_on date,
  created_at timestamptz not null,
  -- when a scheduled message is due; its audience is the subscribers of that moment, even if it starts late
  send_at timestamptz,
  -- requested by the author; local_at follows from it and send_at once the message is scheduled
  local_time boolean not null default false,
  -- each recipient's wall-clock time in the recipient's zone; send_at is that of the account's zone
  local_at timestamp,
  -- when a scheduled message begins: send_at, or earlier where a zone is ahead of the account's
  starts_at timestamptz,
  accepted_at timestamptz,
  -- the whole audience is written
  expanded_at timestamptz,
  -- nothing of it leaves until it is resumed; queued rows stay queued
  paused_at timestamptz,
  -- recipients that are not texted by then never are
  deliver_by timestamptz,
  -- it observes the hours that the law and the account allow at the handset's location
  quiet_hours boolean not null default false,
  -- and besides these hours of the day there
  send_from time,
  send_to time,
  -- no recipient is queued or submitting any more
  sent_at timestamptz,
  -- when texts of unknown end were queued once more: receipts are awaited from then on
  requeued_at timestamptz,
  -- past the receipt deadline: rows that are still unknown stay so
  closed_at timestamptz,
  cancelled_at timestamptz,
  billed_at timestamptz,
  -- receives the result of a transactional message and the replies to it
  webhook_callback_url text,
  constraint messages_accepted
    check (status in ('draft', 'scheduled', 'cancelled') or (accepted_at is not null and logged_on is not null)),
  constraint messages_scheduled check (status <> 'scheduled' or send_at is not null),
  constraint messages_starts check (status <> 'scheduled' or starts_at is not null),
  constraint messages_send_hours check ((send_from is null) = (send_to is null) and send_from < send_to)
);
create index messages_list on messages (list_id, id) where kind = 'broadcast';
create index messages_open on messages (id) where status = 'sending';
create index messages_due on messages (starts_at, id) where status = 'scheduled';
create index messages_paused on messages (id) where status = 'sending' and paused_at is not null;
create index messages_deadline on messages (deliver_by) where status = 'sending' and deliver_by is not null;
create index messages_unclosed on messages (sent_at) where status = 'sent' and closed_at is null;
-- Cancelled while it was being sent: receipts of what had left still arrive.
create index messages_cancelled on messages (cancelled_at) where status = 'cancelled' and closed_at is null;
-- The days whose log rows may still change by a receipt or an opt-out, found by stepping from day to day: each text to one
-- number is a message of its own, so a day has many.
create index messages_open_days on messages (logged_on)
  where status = 'sending' or (status in ('sent', 'cancelled') and closed_at is null);
create index messages_unbilled on messages (id)
  where billed_at is null and accepted_at is not null and status in ('sent', 'cancelled');
