create table lists (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  short_code_id bigint not null references short_codes,
  name text not null,
  message_yes text,
  message_help text,
  message_stop text,
  message_reply text,
  message_already_subscribed text,
  first_optin_message text not null default '',
  second_optin_message text not null default '',
  -- the vendor's API accepts an address, a boolean or nothing here and returns it unchanged
  email_digest text,
  email_subscribe jsonb,
  email_unsubscribe jsonb,
  opt_in_type text not null default 'single' constraint lists_opt_in_type check (opt_in_type in ('single', 'double')),
  -- hours during which an unanswered opt-in request prevents a second one
  resend_block_hours smallint not null default 48
    constraint lists_resend_block check (resend_block_hours between 0 and 48),
  -- hours after an opt-out during which only the subscriber can opt in again
  resubscribe_timeout_hours smallint not null default 48
    constraint lists_resubscribe_timeout check (resubscribe_timeout_hours between 0 and 720),
  -- whether new subscribers get no welcome text
  bypass_opt_in_response boolean not null default false,
  -- minutes after its due time during which a scheduled message may still start, after an outage of the installation
  scheduled_lateness_minutes integer not null default 60
    constraint lists_scheduled_lateness_minutes check (scheduled_lateness_minutes between 1 and 10080),
  -- the action for unknown texts at the receipt deadline: close them, or requeue them once
  when_unknown text not null default 'never_twice'
    constraint lists_when_unknown check (when_unknown in ('never_twice', 'never_miss')),
  -- whether broadcasts observe quiet hours; and the hours of the recipient's day in which they may be sent
  quiet_hours boolean not null default false,
  -- imports skip rows with an optional value that cannot be read, instead of only the value
  reject_unreadable_values boolean not null default false,
  send_from time,
  send_to time,
  -- the types of events that a webhook of the list receives, one bit each (server/src/events/event-types.ts)
  listeners smallint not null default 0,
  -- whether imports report events
  import_events boolean not null default false,
  -- base of the counts; list_deltas has the changes that are not yet added
  subscribed_count bigint not null default 0,
  unsubscribed_count bigint not null default 0,
  cleaned_count bigint not null default 0,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  deleted_at timestamptz,
  constraint lists_send_hours check ((send_from is null) = (send_to is null) and send_from < send_to)
);
create index lists_account on lists (account_id, id) where deleted_at is null;
create index lists_short_code on lists (short_code_id, id);

-- Changes of a list's counts. Updating the list's own row would make every opt-in wait for the one before it, so each
-- transaction adds a row here; readers sum base and deltas in one snapshot, and a job adds the deltas to the base.
create table list_deltas (
  id bigint generated always as identity primary key,
  list_id bigint not null references lists,
  -- the first five digits of the phone numbers that the delta counts, or 0 if number_ranges already counts them
  prefix integer not null,
  subscribed bigint not null default 0,
  unsubscribed bigint not null default 0,
  cleaned bigint not null default 0
);
create index list_deltas_list on list_deltas (list_id);

-- The counts of a list at the end of each day in its account's time zone: a job inserts them after midnight there, and a count of the
-- past cannot be computed later. A day at whose end no worker ran has no row, unless it is the last one; then `recorded_at` says when.
create table list_sizes (
  list_id bigint not null references lists,
  day date not null,
  subscribed bigint not null,
  unsubscribed bigint not null,
  cleaned bigint not null,
  recorded_at timestamptz not null,
  primary key (list_id, day)
);

-- Numbers of a list's subscribers per range of phone numbers. A page deep inside a large list is found by adding up
-- ranges instead of reading all numbers before it. A range is a prefix: the first three digits of the numbers (the area
-- code), or the first five, of which an area code has a hundred. Ranges without subscribers have no row.
create table number_ranges (
  list_id bigint not null references lists,
  prefix integer not null constraint number_ranges_prefix check (prefix between 200 and 999 or prefix between 20000 and 99999),
  subscribed bigint not null default 0,
  unsubscribed bigint not null default 0,
  cleaned bigint not null default 0,
  primary key (list_id, prefix)
) with (fillfactor = 70);

create table keywords (
  id bigint generated always as identity primary key,
  short_code_id bigint not null references short_codes,
  list_id bigint not null references lists,
  name text not null constraint keywords_name check (name = upper(name)),
  created_at timestamptz not null,
  released_at timestamptz
);
create unique index keywords_one_owner on keywords (short_code_id, name) where released_at is null;
create index keywords_list on keywords (list_id) where released_at is null;

-- The short codes that a list sent from before it moved to another one. A STOP to one of them applies to the list.
create table former_short_codes (
  short_code_id bigint not null references short_codes,
  list_id bigint not null references lists,
  primary key (short_code_id, list_id)
);

-- Attributes that a list defines for its subscribers besides the profile. The values are in the subscribers' rows.
create table custom_fields (
  id bigint generated always as identity primary key,
  list_id bigint not null references lists,
  key text not null constraint custom_fields_key_form check (key ~ '^[a-z0-9_]+$'),
  label text not null,
  content_type text not null constraint custom_fields_content_type check (content_type in ('text', 'datetime', 'number')),
  max_length integer not null constraint custom_fields_max_length check (max_length between 1 and 9999),
  -- an RE2 pattern that a value must contain
  pattern text,
  default_value text,
  should_validate_regex_via_api boolean not null default false,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint custom_fields_key unique (list_id, key),
  constraint custom_fields_label unique (list_id, label)
);

-- The steps of a list's double opt-in, in the order of `step_number`. They remain while the list is set to single.
create table opt_in_requests (
  id bigint generated always as identity primary key,
  list_id bigint not null references lists,
  step_number smallint not null,
  collected_data text not null constraint opt_in_requests_collected_data
    check (collected_data in ('zip_code', 'email_address', 'first_name', 'yes')),
  request_message text,
  retry_message text,
  follow_up boolean not null,
  follow_up_hour smallint,
  no_response_message text,
  -- null on the last step means optinsubscriber, on the others nextrequest
  success_action text constraint opt_in_requests_success_action
    check (success_action in ('nextrequest', 'optinsubscriber')),
  opt_in_message text,
  second_opt_in_message text,
  bypass_opt_in_response boolean not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint opt_in_requests_step_number unique (list_id, step_number)
);

-- The callbacks of a list's webhooks, with the events that each receives.
create table webhooks (
  id bigint generated always as identity primary key,
  list_id bigint not null references lists,
  callback_url text not null,
  subscribe boolean not null default false,
  unsubscribe boolean not null default false,
  message_sent boolean not null default false,
  cleaned boolean not null default false,
  reply_received boolean not null default false,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  -- from then on, it does not exist for the API; a job deletes its rows in slices
  deleted_at timestamptz
);
create index webhooks_list on webhooks (list_id, id) where deleted_at is null;
create index webhooks_deleted on webhooks (id) where deleted_at is not null;
