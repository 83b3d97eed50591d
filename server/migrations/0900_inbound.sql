-- An MO is stored, then acknowledged, then interpreted; the MOs of one phone in their order.
create table inbound_messages (
  id bigint generated always as identity primary key,
  connection_id smallint not null references connections,
  short_code text not null,
  -- null if the source address is no phone number
  phone bigint,
  -- as received
  source_addr text not null default '',
  content text not null,
  -- the bytes as received, for content that we cannot decode
  raw bytea not null,
  data_coding smallint not null,
  esm_class smallint not null default 0,
  -- the user data header, and the place in a longer text, from that header or from sar fields
  udh bytea,
  part_reference integer,
  part_total smallint,
  part_number smallint,
  received_at timestamptz not null,
  -- SHA-256 of the octets. Until the carrier has our response, equal octets are the same MO, sent again; after that, they are
  -- another one, because people send the same word twice
  delivery_key bytea,
  acknowledged_at timestamptz,
  redeliveries integer not null default 0,
  -- why operators see it: the sender is no phone number, or the destination none of our short codes
  problem text constraint inbound_messages_problem check (problem in ('sender', 'destination')),
  -- when the opt-out was committed; its confirmation may still wait for a text that is being submitted
  opted_out_at timestamptz,
  -- the number of lists that the opt-out applied to
  lists_left integer,
  -- opt_out, help, opt_in (it lifted a block), part and reply (a part of a longer text that waits for the others, and one that is reported), other; opt_out from its arrival, so that it is found first. An opt-out that is interpreted without opted_out_at is not applied yet:
  -- no sender is known that it could concern, or its own sender cannot be read
  kind text,
  reply_message_id bigint references messages,
  interpreted_at timestamptz
);
-- Waiting opt-outs in order of arrival, and all waiting MOs by destination and by phone; then opt-outs that wait for their confirmation, by
-- the time of the opt-out and by phone.
create index inbound_messages_opt_outs on inbound_messages (id)
 where interpreted_at is null and opted_out_at is null and kind = 'opt_out';
create index inbound_messages_waiting on inbound_messages (short_code, id)
 where interpreted_at is null and opted_out_at is null;
create index inbound_messages_waiting_phone on inbound_messages (phone, id)
 where interpreted_at is null and opted_out_at is null;
create index inbound_messages_unconfirmed on inbound_messages (opted_out_at, id)
 where interpreted_at is null and opted_out_at is not null;
create index inbound_messages_unconfirmed_phone on inbound_messages (phone, short_code)
 where interpreted_at is null and opted_out_at is not null;
create index inbound_messages_phone on inbound_messages (phone, id);
-- what a report of a period reads
create index inbound_messages_received on inbound_messages (short_code, received_at, id);
-- the replies that a phone got, which are limited
create index inbound_messages_replies on inbound_messages (phone, short_code, interpreted_at) where reply_message_id is not null;
create unique index inbound_messages_delivery on inbound_messages (delivery_key) where acknowledged_at is null;
create index inbound_messages_parts on inbound_messages (phone) where kind = 'part';
create index inbound_messages_problem on inbound_messages (connection_id, id) where problem is not null;
create index inbound_messages_unapplied on inbound_messages (connection_id, received_at)
 where kind = 'opt_out' and opted_out_at is null and interpreted_at is not null;
create index inbound_messages_unapplied_code on inbound_messages (short_code, id)
 where kind = 'opt_out' and opted_out_at is null and interpreted_at is not null;
-- Interpreted MOs are deleted after a while, except opt-outs that are not applied.
create index inbound_messages_ended on inbound_messages (interpreted_at)
 where interpreted_at is not null and (kind <> 'opt_out' or opted_out_at is not null);

-- Receipts that match no submit yet: they arrived before their submit_sm_resp, or the response was lost. They are
-- stored before they are acknowledged, and retried until they match or the day is over.
create table receipts (
  id bigint generated always as identity primary key,
  connection_id smallint not null references connections,
  smsc_id text collate "C" not null,
  phone bigint,
  short_code text not null,
  -- our user_message_reference, if the carrier returns it
  reference integer,
  -- the delivery status, determined on arrival: delivered, bounced or expired; hard or soft; the carrier's own status.
  -- Without a state it cannot be read, and is an orphan from the beginning
  state text constraint receipts_state check (state is not null or outcome = 'orphan'),
  reason text,
  carrier_status text not null,
  submit_date text,
  excerpt text,
  received_at timestamptz not null,
  -- waiting, or the result: applied, settled (an unknown row), orphan
  outcome text not null default 'waiting'
    constraint receipts_outcome check (outcome in ('waiting', 'applied', 'settled', 'orphan')),
  attempts integer not null default 0,
  retry_at timestamptz not null,
  ended_at timestamptz
);
create index receipts_waiting on receipts (retry_at) where outcome = 'waiting';
create index receipts_orphans on receipts (connection_id, id) where outcome = 'orphan';
-- Ended receipts remain for a while, for inspection, and are then deleted.
create index receipts_ended on receipts (ended_at) where outcome <> 'waiting';
