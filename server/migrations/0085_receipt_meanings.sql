-- The soft bounces in a row of a number on a list, counted where they happen: a delivery in between is not noted here, for
-- that would cost each delivery a write. The count only says whose log is worth reading.
create table soft_bounces (
  list_id bigint not null,
  phone bigint not null,
  in_a_row integer not null,
  -- the latest of them
  message_id bigint not null,
  log_id bigint not null,
  primary key (list_id, phone)
) with (fillfactor = 80);
create index soft_bounces_many on soft_bounces (list_id, phone) where in_a_row >= 7;

-- An SMSC may give one id to two texts; whose receipt it is, the handset tells. Null fits any.
alter table submits add column phone bigint;

create index receipts_orphans on receipts (connection_id, id) where outcome = 'orphan';

-- when a text of unknown end was queued once more
alter table message_log add column again_at timestamptz;
