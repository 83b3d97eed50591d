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
  -- the vendor takes an address, a boolean or nothing here and gives it back as it was
  email_digest text,
  email_subscribe jsonb,
  email_unsubscribe jsonb,
  opt_in_type text not null default 'single' constraint lists_opt_in_type check (opt_in_type in ('single', 'double')),
  -- base of the counts; list_deltas holds what has not been folded in yet
  subscribed_count bigint not null default 0,
  unsubscribed_count bigint not null default 0,
  cleaned_count bigint not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz
);
create index lists_account on lists (account_id, id) where deleted_at is null;
create index lists_short_code on lists (short_code_id, id) where deleted_at is null;

-- Counting on the list's own row would make every opt-in wait for the one before it, so each
-- transaction adds a row here; a reader sums base and deltas in one snapshot, a job folds them.
create table list_deltas (
  id bigint generated always as identity primary key,
  list_id bigint not null references lists,
  subscribed bigint not null default 0,
  unsubscribed bigint not null default 0,
  cleaned bigint not null default 0
);
create index list_deltas_list on list_deltas (list_id);

create table keywords (
  id bigint generated always as identity primary key,
  short_code_id bigint not null references short_codes,
  list_id bigint not null references lists,
  name text not null constraint keywords_name check (name = upper(name)),
  created_at timestamptz not null default now(),
  released_at timestamptz
);
create unique index keywords_one_owner on keywords (short_code_id, name) where released_at is null;
create index keywords_list on keywords (list_id) where released_at is null;
