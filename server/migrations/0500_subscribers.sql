-- One phone number on one list, with its consent state. The state is derived: `opts` is the record of consent.
create table subscribers (
  id bigint generated always as identity,
  list_id bigint not null references lists,
  phone bigint not null constraint subscribers_phone check (phone between 2000000000 and 9999999999),
  state text not null constraint subscribers_state check (state in ('pending', 'subscribed', 'unsubscribed', 'cleaned')),
  first_name text not null default '',
  last_name text not null default '',
  email text not null default '',
  zip_code text not null default '',
  birthdate text not null default '',
  gender text constraint subscribers_gender check (gender in ('Male', 'Female')),
  -- the code avoids the violation where it can: an import and a bulk change leave out tags beyond the limit
  tags text[] not null default '{}' constraint subscribers_tags check (cardinality(tags) <= 1000),
  -- values by key: strings, numbers, and instants as UTC strings with milliseconds. The value of a deleted field
  -- remains but is not shown
  custom_fields jsonb not null default '{}',
  carrier integer not null default 0,
  carrier_name text,
  -- the carrier in a second numbering scheme, which some look-ups return as well
  global_carrier_id text,
  global_carrier_name text,
  -- the method by which the number first opted in
  opt_in_method text,
  api_source text,
  keyword_name text,
  -- time of the first subscription; an opt-out or a later subscription does not change it
  subscribed_at timestamptz,
  -- time of the latest subscription: numbers that joined after a broadcast was accepted are not in its audience
  opted_in_at timestamptz,
  -- time of the latest opt-in request, while it is unanswered
  opt_in_requested_at timestamptz,
  opted_out_at timestamptz,
  cleaned_at timestamptz,
  -- why it was cleaned (hard_bounce, soft_bounces), and the message whose text bounced last
  clean_reason text,
  last_message_id bigint,
  created_at timestamptz not null,
  -- when its state, profile, tags or carrier was last written after that; null if it was not
  updated_at timestamptz,
  -- the state is included so that pages and audiences are read from the index alone
  primary key (list_id, phone) include (state)
) with (fillfactor = 90);
-- Few rows are in these states, and a page of them must not read all other rows.
create index subscribers_unsubscribed on subscribers (list_id, phone) where state = 'unsubscribed';
create index subscribers_cleaned on subscribers (list_id, phone) where state = 'cleaned';

-- The append-only ledger of consent: actor, time, method, source, and the wording shown.
create table opts (
  id bigint generated always as identity,
  account_id bigint not null,
  -- null if the change applies to no list
  list_id bigint,
  -- the short code, if the change applies to everything that it sends: a STOP, an opt-out at the carrier, a lifted block
  short_code_id bigint,
  phone bigint not null,
  kind text not null
    constraint opts_kind check (kind in ('opt_in_requested', 'opt_in', 'opt_out', 'cleaned', 'block_lifted')),
  -- api, import, keyword, start, stop, carrier
  method text not null,
  source text,
  keyword_name text,
  wording text,
  -- when the person consented, opted out or was cleaned, if that is known to differ from the time of this row
  consented_at timestamptz,
  -- the cause: an API key (`key:12`), an import (`import:7`), an inbound text (`mo:99`), a receipt (`mt:123`)
  actor text not null,
  created_at timestamptz not null,
  constraint opts_scope check (list_id is not null or short_code_id is not null)
);
-- not a primary key, because list_id may be null
create unique index opts_list on opts (list_id, phone, id);
create index opts_short_code on opts (short_code_id, phone, id) where list_id is null;

create function reject_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name;
end $$;
create trigger opts_append_only before update or delete or truncate on opts
  for each statement execute function reject_change();

-- Phone numbers that sent STOP to a short code and have not opted in since. The mark before each text reads them,
-- because a number may be on no list, or may come to another list of the short code. docs/consent.md has the rule.
create table blocks (
  short_code_id bigint not null references short_codes,
  phone bigint not null,
  since timestamptz not null,
  -- the MO that was the STOP, or the last MO that had arrived before another opt-out: only later ones lift the block
  last_mo_id bigint not null,
  primary key (short_code_id, phone)
);

-- Consecutive soft bounces of a number on a list, counted as they happen. A delivery in between does not reset the
-- count, because that would cost each delivery a write: the count only selects the numbers whose log is read.
create table soft_bounces (
  list_id bigint not null,
  phone bigint not null,
  consecutive_count integer not null,
  -- the day of the log with the first of them
  first_logged_on date not null,
  -- the latest of them
  message_id bigint not null,
  log_id bigint not null,
  primary key (list_id, phone)
) with (fillfactor = 80);
create index soft_bounces_many on soft_bounces (list_id, phone) where consecutive_count >= 7;

-- The latest look-up of a number. The result does not depend on a list, so all accounts share it.
create table number_look_ups (
  phone bigint,
  kind text not null constraint number_look_ups_kind
    check (kind in ('mobile', 'landline', 'voip', 'toll_free', 'unreachable', 'unknown')),
  carrier integer,
  carrier_name text,
  ported boolean,
  global_carrier_id text,
  global_carrier_name text,
  looked_up_at timestamptz not null,
  -- with the name, so that the recipients of a carrier are found without reading the rows
  primary key (phone) include (carrier_name)
);

-- Updates of many subscribers, or deferred updates of one, that run after the request has returned. A list's changes
-- are applied in the order of their ids, each slice in one transaction with the cursor; a completed change is deleted.
-- Accounts take turns of one slice.
create table subscriber_changes (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  list_id bigint not null references lists,
  kind text not null
    constraint subscriber_changes_kind check (kind in ('add_tags', 'replace_tags', 'remove_tags', 'update_profile')),
  -- the numbers that are changed; null means the whole list
  phones bigint[],
  tags text[] not null default '{}',
  profile jsonb,
  -- the last number that has been processed
  cursor_phone bigint not null default 0,
  -- consecutive turns that failed, and when the next one is due
  failures smallint not null default 0,
  retry_at timestamptz,
  created_at timestamptz not null
);
create index subscriber_changes_list on subscriber_changes (list_id, id);
create index subscriber_changes_account on subscriber_changes (account_id, id);
