-- Gifts that a donation platform tells us of: who gave them, or which message brought them in.
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
  -- a platform that tells us twice has one gift in mind
  constraint donations_platform_uid unique (list_id, donation_platform, donation_platform_uid)
);
create index donations_list on donations (list_id, id);
create index donations_phone on donations (list_id, phone, id) where phone is not null;
create index donations_message on donations (message_id) where message_id is not null;
