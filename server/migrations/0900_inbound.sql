-- An MO is stored, then acknowledged, then interpreted; the MOs of one phone in their order.
create table inbound_messages (
  id bigint generated always as identity primary key,
  connection_id smallint not null references connections,
  short_code text not null,
  phone bigint not null,
  content text not null,
  -- the bytes as received, for content that we cannot decode
  raw bytea not null,
  data_coding smallint not null,
  received_at timestamptz not null,
  -- when the opt-out was committed; its confirmation may still wait for a text that is being submitted
  opted_out_at timestamptz,
  -- the number of lists that the opt-out applied to
  lists_left integer,
  -- opt_out, help, other
  kind text,
  reply_message_id bigint references messages,
  interpreted_at timestamptz
);
create index inbound_messages_waiting on inbound_messages (phone, id) where interpreted_at is null;
create index inbound_messages_phone on inbound_messages (phone, id);

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
  -- the delivery status, determined on arrival: delivered, bounced or expired; hard or soft; the carrier's own status
  state text not null,
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
