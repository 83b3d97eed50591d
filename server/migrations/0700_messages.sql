-- Everything that we send is a message: a broadcast to a list, a transactional message, or a system text (confirmation,
-- HELP, opt-in question) to one number. Its recipients are rows of message_log.
create table messages (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  list_id bigint references lists,
  short_code_id bigint not null references short_codes,
  kind text not null constraint messages_kind check (kind in ('broadcast', 'transactional', 'system')),
  -- whether a transactional message is the test of a broadcast
  is_test boolean not null default false,
  name text,
  content text not null,
  -- the recipient, if there is exactly one; null for a broadcast
  phone bigint,
  -- the numbers that may be texted. subscribed: the list's subscribers; not_opted_out: numbers that have not opted out
  -- of the list; both without blocked numbers; reply: the sender of the inbound text that this message replies to
  consent text not null
    constraint messages_consent check (consent in ('subscribed', 'not_opted_out', 'reply')),
  -- the selection of the list's subscribers, as in the API: {"tags_any": ["a"], ...}; null means all of them
  audience jsonb,
  part_count smallint not null,
  -- maximum number of parts of its text; null means the contract's limit of 160 characters
  max_parts smallint constraint messages_max_parts check (max_parts between 1 and 10),
  -- base of the short URLs that are sent instead of the links of its content; null if they are not tracked
  link_base text,
  status text not null constraint messages_status check (status in ('draft', 'scheduled', 'sending', 'sent', 'cancelled')),
  -- the reason if Carillon cancelled it: too_late, list_deleted, content
  cancel_reason text,
  -- the day partition of all its log rows, fixed when it is accepted, so that a restart after midnight cannot duplicate
  -- rows
  logged_on date,
  created_at timestamptz not null,
  -- when a scheduled message is due; its audience is the subscribers at that time, even if it starts late
  send_at timestamptz,
  -- requested by the author; when the message is scheduled, local_at is computed from it and send_at
  local_time boolean not null default false,
  -- the wall-clock time at each recipient's location; send_at is the same wall-clock time in the account's time zone
  local_at timestamp,
  -- when a scheduled message starts: send_at, or earlier if a time zone is ahead of the account's
  starts_at timestamptz,
  accepted_at timestamptz,
  -- when its whole audience was written
  expanded_at timestamptz,
  -- when it was paused: none of its texts is sent until it is resumed, and queued rows stay queued
  paused_at timestamptz,
  -- the deadline: recipients that have not been texted by then are suppressed
  deliver_by timestamptz,
  -- whether it observes quiet hours at the phone's location, even if the list and the account do not
  quiet_hours boolean not null default false,
  -- the hours of the day there in which it may be sent
  send_from time,
  send_to time,
  -- when the last row was no longer queued or submitting
  sent_at timestamptz,
  -- when its unknown texts were requeued: the receipt deadline counts from then on
  requeued_at timestamptz,
  -- when it was closed, at its receipt deadline: rows that are still unknown stay unknown
  closed_at timestamptz,
  -- the last log id up to which the texts of a message of a list are in `received_counts`; all of them are when it is closed,
  -- except those of system texts
  received_through bigint not null default 0,
  cancelled_at timestamptz,
  billed_at timestamptz,
  -- when its event `message_sent`, or the latest one about the result of a transactional message, was inserted or would have been
  reported_at timestamptz,
  -- whether the result of a transactional message and the replies to it are events
  is_reported boolean not null default false,
  -- when its result is looked at next, until it is reported
  report_at timestamptz,
  -- receives the result of a transactional message and the replies to it
  webhook_callback_url text,
  constraint messages_accepted
    check (status in ('draft', 'scheduled', 'cancelled') or (accepted_at is not null and logged_on is not null)),
  constraint messages_scheduled check (status <> 'scheduled' or send_at is not null),
  constraint messages_starts check (status <> 'scheduled' or starts_at is not null),
  constraint messages_send_hours check ((send_from is null) = (send_to is null) and send_from < send_to)
);
create index messages_list on messages (list_id, id) where kind = 'broadcast';
-- what a report of a period reads
create index messages_accepted on messages (account_id, accepted_at, id) where accepted_at is not null;
-- Broadcasts whose received texts are counted in the log.
create index messages_uncounted on messages (list_id)
  where kind = 'broadcast' and closed_at is null and accepted_at is not null;
create index messages_open on messages (id) where status = 'sending';
create index messages_due on messages (starts_at, id) where status = 'scheduled';
create index messages_planned on messages (account_id, status) where status in ('draft', 'scheduled');
create index messages_paused on messages (id) where status = 'sending' and paused_at is not null;
create index messages_deadline on messages (deliver_by) where status = 'sending' and deliver_by is not null;
create index messages_unclosed on messages (sent_at) where status = 'sent' and closed_at is null;
-- Cancelled while it was being sent, with rows that may be queued or submitting (log/cancelled.sql.ts).
create index messages_cancelled on messages (account_id, id)
  where status = 'cancelled' and closed_at is null and (billed_at is null or requeued_at is not null);
-- The messages that are closed at their receipt deadline, in turns by account; each short code has its own deadline.
create index messages_ended on messages (account_id, short_code_id, greatest(sent_at, requeued_at, cancelled_at))
  where status in ('sent', 'cancelled') and closed_at is null;
-- Used to list the days whose log rows a receipt or an opt-out may still change, by stepping from day to day: a day has
-- many messages, because each text to one number is a separate message.
create index messages_open_days on messages (logged_on)
  where status = 'sending' or (status in ('sent', 'cancelled') and closed_at is null);
-- Sent, without the event `message_sent`.
create index messages_unreported on messages (sent_at, id)
  where status = 'sent' and kind = 'broadcast' and reported_at is null;
create index messages_results on messages (report_at) where report_at is not null;
-- The transactional messages to a phone to which it may reply, and the other ones without a list.
create index messages_answerable on messages (short_code_id, phone, id) where is_reported;
create index messages_unanswerable on messages (short_code_id, phone, id)
  where kind = 'transactional' and list_id is null and not is_reported;
create index messages_unbilled on messages (account_id, id)
  where billed_at is null and accepted_at is not null and status in ('sent', 'cancelled');

-- Work on a message that failed, until it succeeds. After some failures the work is set aside: it is retried rarely, or
-- by an operator.
create table message_failures (
  message_id bigint not null references messages on delete cascade,
  -- the name of the sweep, such as expand
  sweep text not null,
  -- failures in succession
  attempts integer not null,
  -- the kind of the latest error, without values of rows
  error text not null,
  first_failed_at timestamptz not null,
  failed_at timestamptz not null,
  retry_at timestamptz not null,
  set_aside_at timestamptz,
  primary key (message_id, sweep)
);
create index message_failures_due on message_failures (retry_at);
create index message_failures_set_aside on message_failures (set_aside_at) where set_aside_at is not null;
