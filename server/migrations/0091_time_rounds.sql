alter table messages
  -- asked for by whoever wrote it; local_at follows from it and send_at once it is scheduled
  add column local_time boolean not null default false;

-- what a worker looks for every moment: chunks whose window has closed, and those that are paused
create index send_chunks_closing on send_chunks (closes_at) where done_at is null and closes_at is not null;
create index send_chunks_paused on send_chunks (message_id) where done_at is null and paused;
