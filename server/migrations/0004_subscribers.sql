-- One phone number on one list, with its opt-in state. The row is derived: `opts` is the record of consent.
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
  tags text[] not null default '{}',
  carrier integer not null default 0,
  carrier_name text,
  -- how the number first joined
  opt_in_method text,
  api_source text,
  keyword_name text,
  -- first subscription, kept over opt-out and return
  subscribed_at timestamptz,
  -- latest subscription: who joins after a broadcast was accepted is not in its audience
  opted_in_at timestamptz,
  -- latest confirmation text, while the answer is awaited
  opt_in_requested_at timestamptz,
  opted_out_at timestamptz,
  cleaned_at timestamptz,
  created_at timestamptz not null default now(),
  -- the state rides along so that pages and audiences are read from the index alone
  primary key (list_id, phone) include (state)
) with (fillfactor = 90);

-- The append-only ledger of consent: who, when, how, from where, and which words were shown.
create table opts (
  id bigint generated always as identity,
  account_id bigint not null,
  list_id bigint not null,
  phone bigint not null,
  kind text not null constraint opts_kind check (kind in ('opt_in_requested', 'opt_in', 'opt_out', 'cleaned')),
  -- api, import, keyword, stop, carrier
  method text not null,
  source text,
  keyword_name text,
  wording text,
  -- when the person consented, where that is known to differ from when we wrote it down
  consented_at timestamptz,
  -- who did it: an API key (`key:12`), an import (`import:7`), a text of theirs (`mo:99`), a receipt (`mt:123`)
  actor text not null,
  created_at timestamptz not null,
  primary key (list_id, phone, id)
);

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name;
end $$;
create trigger opts_append_only before update or delete or truncate on opts
  for each statement execute function refuse_change();
