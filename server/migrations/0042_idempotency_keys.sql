-- A POST that named itself with an Idempotency-Key. The answer commits with the effect, so that there is never one
-- without the other; until then the row is a mark that somebody works on it, void when its lease is over.
create table idempotency_keys (
  api_key_id bigint not null references api_keys,
  key text collate "C" not null,
  -- SHA-256 of path, query and body; of an upload the bytes come last, in body_hash
  request_hash bytea not null,
  body_hash bytea,
  -- who works on it; whoever takes over after the lease has another one
  token uuid not null,
  lease_until timestamptz not null,
  -- the answer, with null in the place of a secret
  status smallint,
  body text,
  expires_at timestamptz not null,
  primary key (api_key_id, key)
);
create index idempotency_keys_expiry on idempotency_keys (expires_at);
