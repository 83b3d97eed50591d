-- A short code is any sender address: a short code proper, a ten-digit number or a toll-free number.
create table short_codes (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  code text not null constraint short_codes_code_key unique,
  -- maximum number of submit_sm in any second from this sender, over all connections; null means no cap
  mps integer constraint short_codes_mps check (mps between 1 and 100000),
  created_at timestamptz not null
);
create index short_codes_account on short_codes (account_id, id);

-- Our SMPP account at an aggregator or SMSC. Operators edit the row while gateways run; gateways follow without a
-- restart. A receipt is matched within the connection that delivered it.
create table connections (
  id smallint generated always as identity primary key,
  name text not null constraint connections_name_key unique,
  -- whether address and credentials are those of CARILLON_SMPP_URL
  from_environment boolean not null default false,
  -- the settings that CARILLON_SMPP_URL sets, of window, mps and slots. A process without that variable rejects changes
  -- to them too, because the next start of a gateway would undo the change
  environment_names text[] not null default '{}'
    constraint connections_environment_names check (environment_names <@ '{window,mps,slots}'),
  enabled boolean not null default true,
  -- whether it sends the texts of short codes without sending routes
  serves_all boolean not null default false,
  host text,
  port integer constraint connections_port check (port between 1 and 65535),
  tls boolean not null default false,
  -- PEM; null trusts the system's root certificates
  tls_ca text,
  -- the name that the server's certificate must contain, if it differs from the host
  tls_server_name text,
  tls_certificate text,
  -- sealed, like all secrets of a connection
  tls_key bytea,
  system_id text not null default '',
  password bytea,
  system_type text not null default '',
  -- a pair is a transmitter and a receiver
  bind_type text not null default 'transceiver'
    constraint connections_bind_type check (bind_type in ('transceiver', 'pair', 'transmitter', 'receiver')),
  slots smallint not null default 1 constraint connections_slots check (slots between 1 and 64),
  "window" smallint not null default 10 constraint connections_window check ("window" between 1 and 1000),
  -- maximum number of submit_sm in any second, over all gateways; null means no cap
  mps integer constraint connections_mps check (mps between 1 and 100000),
  -- caps by the carrier's number: {"31001": 75}
  carrier_mps jsonb not null default '{}',
  -- the alphabet that this SMSC uses for data_coding 0
  charset text not null default 'gsm7' constraint connections_charset check (charset in ('gsm7', 'latin1')),
  long_text text not null default 'udh8'
    constraint connections_long_text check (long_text in ('udh8', 'udh16', 'sar', 'payload')),
  service_type text not null default '',
  -- null means derived from the length of the address
  source_ton smallint constraint connections_source_ton check (source_ton between 0 and 255),
  source_npi smallint constraint connections_source_npi check (source_npi between 0 and 255),
  dest_ton smallint constraint connections_dest_ton check (dest_ton between 0 and 255),
  dest_npi smallint constraint connections_dest_npi check (dest_npi between 0 and 255),
  validity_s integer constraint connections_validity check (validity_s between 60 and 2592000),
  -- the form of validity_period in a submit_sm; off sends none, also none of the text's own deadline
  validity_period text not null default 'relative'
    constraint connections_validity_period check (validity_period in ('relative', 'absolute', 'off')),
  -- null means the installation's setting
  response_deadline_ms integer
    constraint connections_response_deadline check (response_deadline_ms between 100 and 300000),
  receipt_deadline_s integer
    constraint connections_receipt_deadline check (receipt_deadline_s between 1 and 2592000),
  enquire_link_s integer not null default 15
    constraint connections_enquire_link check (enquire_link_s between 1 and 3600),
  -- the form of the response's id in a receipt: any form, unchanged, hexadecimal or decimal
  receipt_id_form text not null default 'any'
    constraint connections_receipt_id_form check (receipt_id_form in ('any', 'as_is', 'hex', 'decimal')),
  -- whether a text in parts gets a receipt for each part, or only one
  receipts text not null default 'each_part'
    constraint connections_receipts check (receipts in ('each_part', 'one_per_text')),
  -- the statuses of this SMSC's own codes: {"receipt": {"4470": "blocked"}, "status": {"0x45": "soft"}}
  error_map jsonb not null default '{}',
  query_sm boolean not null default false,
  query_after_s integer not null default 1800
    constraint connections_query_after check (query_after_s between 1 and 2592000),
  -- whether a text was sent or received through it, or an attempt failed: a search for its rows would read all days of the log
  is_used boolean not null default false,
  -- incremented by each change
  version integer not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

-- A short code's sending routes: the connections that send its texts. The lowest tier with a bound connection is used;
-- weights divide the texts within the tier.
create table short_code_routes (
  short_code_id bigint not null references short_codes,
  connection_id smallint not null references connections on delete cascade,
  tier smallint not null default 0 constraint short_code_routes_tier check (tier between 0 and 99),
  weight smallint not null default 1 constraint short_code_routes_weight check (weight between 1 and 1000),
  primary key (short_code_id, connection_id)
);
create index short_code_routes_connection on short_code_routes (connection_id);

-- The right to open one of a connection's binds. One gateway at a time owns it, through a lease.
create table bind_slots (
  connection_id smallint not null references connections on delete cascade,
  slot smallint not null,
  leased_by uuid,
  lease_until timestamptz,
  bound boolean not null default false,
  -- the latest error of the SMSC or the network that prevented the bind
  last_error text,
  -- since when binds have failed without a success, whichever gateway tried; null if the slot was bound at its last attempt
  failing_since timestamptz,
  changed_at timestamptz not null default now(),
  primary key (connection_id, slot)
) with (fillfactor = 50);

-- Alarms of a connection that no other row shows: a gateway or worker raises them, and refreshes seen_at while the condition
-- lasts. The other alarms are read from the rows that they are about.
create table connection_alarms (
  connection_id smallint not null references connections on delete cascade,
  name text not null constraint connection_alarms_name check (name in ('account_rejected', 'one_receipt_per_text')),
  since timestamptz not null,
  seen_at timestamptz not null,
  detail text not null,
  primary key (connection_id, name)
);

-- The part of a cap that one gateway may use in any second. The sum of a cap's shares never exceeds the cap.
create table rate_shares (
  -- for example connection:3, short_code:7, carrier:3:31001
  cap text not null,
  gateway uuid not null,
  mps integer not null,
  lease_until timestamptz not null,
  -- whether this gateway has texts waiting for the cap; an idle gateway has only a small share
  wanted boolean not null default false,
  primary key (cap, gateway)
) with (fillfactor = 50);

-- Incremented whenever a share of the cap grows. A gateway that increases its share names the version that it read; the
-- update fails if another gateway was faster.
create table rate_caps (
  cap text primary key,
  version integer not null default 0
) with (fillfactor = 50);

-- The progress of status queries (query_sm) for texts without a receipt, per connection and day. One gateway at a time
-- continues the round, through a lease; after the last text of the day it starts again at `due_at`.
create table query_rounds (
  connection_id smallint not null references connections on delete cascade,
  logged_on date not null,
  cursor_log_id bigint not null default 0,
  due_at timestamptz not null,
  lease_until timestamptz,
  primary key (connection_id, logged_on)
) with (fillfactor = 50);
