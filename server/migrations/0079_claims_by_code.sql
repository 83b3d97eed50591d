-- Gateways go round the short codes that have texts waiting: those of one that nobody can send from now cost the others
-- nothing, however many they are.
create index send_chunks_by_code on send_chunks (short_code_id, lane, due_at, id) where done_at is null and not paused;
