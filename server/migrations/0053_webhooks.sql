-- Where the events of a list are told, and which of them.
create table webhooks (
  id bigint generated always as identity primary key,
  list_id bigint not null references lists,
  callback_url text not null,
  subscribe boolean not null default false,
  unsubscribe boolean not null default false,
  message_sent boolean not null default false,
  cleaned boolean not null default false,
  reply_received boolean not null default false,
  enabled boolean not null default true,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create index webhooks_list on webhooks (list_id, id);
