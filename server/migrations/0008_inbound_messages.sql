-- An MO is stored, then answered, then interpreted, in order per handset.
create table inbound_messages (
  id bigint generated always as identity primary key,
  connection_id smallint not null references connections,
  short_code text not null,
  phone bigint not null,
  content text not null,
  -- as the carrier sent it, for what we could not read
  raw bytea not null,
  data_coding smallint not null,
  received_at timestamptz not null,
  -- the opt-out is committed; its confirmation may still wait for a text on its way
  opted_out_at timestamptz,
  -- how many lists the handset left by it
  lists_left integer,
  -- opt_out, help, other
  meaning text,
  answer_message_id bigint references messages,
  interpreted_at timestamptz
);
create index inbound_messages_waiting on inbound_messages (phone, id) where interpreted_at is null;
create index inbound_messages_phone on inbound_messages (phone, id);
