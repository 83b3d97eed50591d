-- The price of one part of a text. The account's own rate takes precedence over the general one, then the rate of the
-- phone's carrier over the one for all carriers, then the latest rate in effect over earlier ones.
create table rates (
  id bigint generated always as identity primary key,
  account_id bigint references accounts,
  channel text not null constraint rates_channel check (channel in ('sms', 'mms')),
  -- the carrier of the phone, by its number in the API; null means all carriers
  carrier integer,
  -- US dollars
  price numeric(10, 6) not null constraint rates_price check (price >= 0),
  since date not null,
  -- the document that contains it: a contract, an invoice
  source text not null default '',
  constraint rates_once unique nulls not distinct (account_id, channel, carrier, since)
);

-- Parts and cost of a message: computed when it is sent, and again when it is closed.
create table message_bills (
  message_id bigint primary key references messages on delete cascade,
  -- parts of all recipients, and of the recipient with the fewest and with the most
  parts bigint not null,
  least_parts smallint not null,
  most_parts smallint not null,
  -- cost of the parts, without those that the SMSC rejected in its response
  cost numeric(16, 6) not null,
  -- the number of suppressed recipients by the reason in their log rows
  suppressions jsonb not null default '{}',
  billed_at timestamptz not null
);

-- Forecasts of a message's parts, price and duration, computed on the real list and stored for a day.
create table flight_plans (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  list_id bigint not null references lists,
  -- the message that was planned, if it exists
  message_id bigint references messages on delete cascade,
  content text not null,
  max_parts smallint,
  -- as in messages
  link_base text,
  audience jsonb,
  send_at timestamptz,
  status text not null default 'pending' constraint flight_plans_status check (status in ('pending', 'done', 'failed')),
  result jsonb,
  created_at timestamptz not null,
  finished_at timestamptz
);
create index flight_plans_pending on flight_plans (account_id) where status = 'pending';
create index flight_plans_age on flight_plans (created_at);
