-- A connection is a row that an operator edits while we run; gateways follow it without a restart.
alter table connections
  -- its address and credentials are those of CARILLON_SMPP_URL
  add column from_environment boolean not null default false,
  add column enabled boolean not null default true,
  -- short codes without routes of their own send through it
  add column serves_all boolean not null default false,
  add column host text,
  add column port integer constraint connections_port check (port between 1 and 65535),
  add column tls boolean not null default false,
  -- PEM; null trusts the system's roots
  add column tls_ca text,
  -- the name that the server's certificate must have, where it is not the host's
  add column tls_server_name text,
  add column tls_certificate text,
  -- sealed, as are all secrets of a connection
  add column tls_key bytea,
  add column system_id text not null default '',
  add column password bytea,
  add column system_type text not null default '',
  -- a pair is a transmitter and a receiver
  add column bind_type text not null default 'transceiver'
    constraint connections_bind_type check (bind_type in ('transceiver', 'pair', 'transmitter', 'receiver')),
  add column slots smallint not null default 1 constraint connections_slots check (slots between 1 and 64),
  add column "window" smallint not null default 10 constraint connections_window check ("window" between 1 and 1000),
  -- submit_sm in any second, over all gateways; null is no cap
  add column mps integer constraint connections_mps check (mps between 1 and 100000),
  -- by the carrier's number: {"31001": 75}
  add column carrier_mps jsonb not null default '{}',
  -- what this SMSC means by data_coding 0
  add column charset text not null default 'gsm7' constraint connections_charset check (charset in ('gsm7', 'latin1')),
  add column long_text text not null default 'udh8'
    constraint connections_long_text check (long_text in ('udh8', 'udh16', 'sar', 'payload')),
  add column service_type text not null default '',
  -- null is what the address's length says
  add column source_ton smallint constraint connections_source_ton check (source_ton between 0 and 255),
  add column source_npi smallint constraint connections_source_npi check (source_npi between 0 and 255),
  add column dest_ton smallint constraint connections_dest_ton check (dest_ton between 0 and 255),
  add column dest_npi smallint constraint connections_dest_npi check (dest_npi between 0 and 255),
  add column validity_s integer constraint connections_validity check (validity_s between 60 and 2592000),
  -- null is the installation's setting
  add column response_deadline_ms integer
    constraint connections_response_deadline check (response_deadline_ms between 100 and 300000),
  add column receipt_deadline_s integer
    constraint connections_receipt_deadline check (receipt_deadline_s between 1 and 2592000),
  add column enquire_link_s integer not null default 15
    constraint connections_enquire_link check (enquire_link_s between 1 and 3600),
  -- how a receipt spells the id of the response: anyhow, letter for letter, or in a base of its own
  add column receipt_id_form text not null default 'any'
    constraint connections_receipt_id_form check (receipt_id_form in ('any', 'as_is', 'hex', 'decimal')),
  -- what this SMSC means by its codes: {"receipt": {"4470": "blocked"}, "status": {"0x45": "soft"}}
  add column error_map jsonb not null default '{}',
  add column query_sm boolean not null default false,
  add column query_after_s integer not null default 1800
    constraint connections_query_after check (query_after_s between 1 and 2592000),
  -- counts the changes
  add column version integer not null default 1,
  add column updated_at timestamptz not null default now();
update connections set from_environment = true, serves_all = true where name = 'default';

-- Through which connections a short code sends: the lowest tier of which one is bound, shared by weight.
create table short_code_routes (
  short_code_id bigint not null references short_codes,
  connection_id smallint not null references connections on delete cascade,
  tier smallint not null default 0 constraint short_code_routes_tier check (tier between 0 and 99),
  weight smallint not null default 1 constraint short_code_routes_weight check (weight between 1 and 1000),
  primary key (short_code_id, connection_id)
);
create index short_code_routes_connection on short_code_routes (connection_id);

-- A bind that a connection may have. One gateway at a time owns it, by a lease.
create table bind_slots (
  connection_id smallint not null references connections on delete cascade,
  slot smallint not null,
  leased_by uuid,
  lease_until timestamptz,
  bound boolean not null default false,
  -- why it is not bound, as the SMSC or the network said it last
  last_error text,
  changed_at timestamptz not null default now(),
  primary key (connection_id, slot)
) with (fillfactor = 50);

-- What a gateway may submit in any second of what a cap allows in all. The shares of a cap never add up to more.
create table rate_shares (
  -- connection:3, short_code:7, carrier:3:31001
  cap text not null,
  gateway uuid not null,
  mps integer not null,
  lease_until timestamptz not null,
  primary key (cap, gateway)
) with (fillfactor = 50);

alter table short_codes
  -- submit_sm in any second from this sender, over all connections; null is no cap
  add column mps integer constraint short_codes_mps check (mps between 1 and 100000);

alter table send_chunks
  add column short_code_id bigint references short_codes,
  -- its message is paused: nobody leases it
  add column paused boolean not null default false,
  -- after this nobody in it may be texted until it is given a new due time
  add column closes_at timestamptz;
update send_chunks c set short_code_id = m.short_code_id from messages m where m.id = c.message_id;
alter table send_chunks alter column short_code_id set not null;

-- the text of this recipient, where merge tags make it his own
alter table message_log add column content text;

alter table submits
  -- when the PDU was written, and how long its answer took
  add column written_at timestamptz,
  add column answer_ms integer;
