-- A text that its carrier could not take for now waits for another try in a chunk of its own, so that the others of its
-- chunk need not wait for it.
alter table send_chunks
  -- how often its texts were tried before
  add column attempt smallint not null default 0;
alter table message_log
  -- the chunk that it waits in, where that is not the one of its neighbours
  add column chunk_id bigint;
