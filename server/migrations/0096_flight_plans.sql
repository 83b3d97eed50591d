-- What sending a message would come to, reckoned over the real list and kept for a day.
create table flight_plans (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  list_id bigint not null references lists,
  -- the message that it is of, if it was of one
  message_id bigint references messages on delete cascade,
  content text not null,
  max_parts smallint,
  audience jsonb,
  send_at timestamptz,
  status text not null default 'pending' constraint flight_plans_status check (status in ('pending', 'done', 'failed')),
  result jsonb,
  created_at timestamptz not null,
  finished_at timestamptz
);
create index flight_plans_pending on flight_plans (account_id) where status = 'pending';
create index flight_plans_age on flight_plans (created_at);
