-- the SMSC's id as it wrote it, where that is not how we compare it: to ask for a text one has to name it so
alter table submits add column spelling text collate "C";

-- How far a day's texts without a receipt have been asked for (query_sm), for each connection that is asked. One gateway at
-- a time goes on with it, by a lease; when the day is through, it begins anew at `due_at`.
create table query_rounds (
  connection_id smallint not null references connections on delete cascade,
  logged_on date not null,
  cursor_log_id bigint not null default 0,
  due_at timestamptz not null,
  lease_until timestamptz,
  primary key (connection_id, logged_on)
) with (fillfactor = 50);
