-- What one part of a text costs. Which rate holds for it: the account's own before everybody's, its carrier's before any
-- carrier's, and of those the latest that had begun.
create table rates (
  id bigint generated always as identity primary key,
  account_id bigint references accounts,
  channel text not null constraint rates_channel check (channel in ('sms', 'mms')),
  -- the handset's, by the number that the API has for it
  carrier integer,
  -- US dollars
  price numeric(10, 6) not null constraint rates_price check (price >= 0),
  since date not null,
  -- who says so: a contract, an invoice
  source text not null default '',
  constraint rates_once unique nulls not distinct (account_id, channel, carrier, since)
);

-- What became of a message in parts and money: reckoned when it was sent, and again when it is closed.
create table message_bills (
  message_id bigint primary key references messages on delete cascade,
  -- of all recipients, and of the one who got the fewest and the most
  parts bigint not null,
  least_parts smallint not null,
  most_parts smallint not null,
  -- of what a carrier took from us
  cost numeric(16, 6) not null,
  billed_at timestamptz not null
);

alter table messages add column billed_at timestamptz;
-- what was closed before there were bills gets none: its chunks, which say where its rows are, are gone
update messages set billed_at = closed_at where closed_at is not null;
create index messages_unbilled on messages (id)
  where billed_at is null and accepted_at is not null and status in ('sent', 'cancelled');
