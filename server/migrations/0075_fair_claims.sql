-- Gateways go round the open broadcasts, whatever the number of chunks that each has.
create index send_chunks_by_broadcast on send_chunks (message_id, due_at, id)
  where done_at is null and not paused and lane = 2;
