create table accounts (
  id bigint generated always as identity primary key,
  email text not null,
  username text not null,
  -- the time zone of the times in responses to the account
  time_zone text not null default 'America/Los_Angeles',
  -- may change settings of the whole installation, such as connections; true for the first account
  is_operator boolean not null default false,
  -- whether broadcasts observe quiet hours
  quiet_hours boolean not null default false,
  -- whether texts to given numbers observe them too
  quiet_hours_transactional boolean not null default false,
  -- limit of the calls of all keys together, set by the operator: `calls/seconds` or `off`; null means the
  -- installation's setting
  rate_limit text
    constraint accounts_rate_limit check (rate_limit ~ '^(off|[1-9][0-9]{0,6}/[1-9][0-9]{0,3})$'),
  -- while it is set, the account's keys are rejected, and none of its texts are sent except replies to STOP and HELP
  disabled_at timestamptz,
  -- whether the feed has the events of all lists
  event_feed boolean not null default false,
  created_at timestamptz not null
);
create index accounts_disabled on accounts (id) where disabled_at is not null;
create unique index accounts_email_key on accounts (lower(email));

-- A user of an account. The password is an argon2id hash in the usual text form, `$argon2id$v=19$m=...`.
create table users (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  email text not null,
  role text not null constraint users_role check (role in ('owner', 'editor', 'viewer')),
  password_hash text not null,
  created_at timestamptz not null
);
create unique index users_email_key on users (lower(email));
create index users_account on users (account_id, id);

-- Only the SHA-256 of a key is stored; `prefix` finds the row, the hash is compared in constant time. A revoked key
-- remains as a row, because imports and the ledger of consent refer to it.
create table api_keys (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  name text not null,
  prefix text not null constraint api_keys_prefix_key unique,
  hash bytea not null,
  scope text not null default 'full' constraint api_keys_scope check (scope in ('full', 'read', 'send')),
  -- created in sandbox mode: rejected in production mode, and without a rate limit
  sandbox boolean not null default false,
  -- the key that the sandbox's start banner shows
  seeded boolean not null default false,
  -- the limit that the account chose, `calls/seconds` or `off`, in addition to the one that binds the key
  rate_limit text
    constraint api_keys_rate_limit check (rate_limit ~ '^(off|[1-9][0-9]{0,6}/[1-9][0-9]{0,3})$'),
  -- the limit that the operator chose, which the account cannot exceed; null means the installation's setting
  operator_rate_limit text
    constraint api_keys_operator_rate_limit check (operator_rate_limit ~ '^(off|[1-9][0-9]{0,6}/[1-9][0-9]{0,3})$'),
  -- the key whose operator limit also binds this one, because it created this one: their calls are counted together
  limited_by bigint references api_keys,
  -- accurate to the minute, so that few calls write it
  last_used_at timestamptz,
  disabled_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null
);
create index api_keys_account on api_keys (account_id);

-- A POST with an Idempotency-Key. The stored response commits with the effect, so that neither exists without the
-- other; until then the row marks the request as running, until its lease ends.
create table idempotency_keys (
  api_key_id bigint not null references api_keys,
  key text collate "C" not null,
  -- SHA-256 of path, query and body; the bytes of an upload arrive last and are hashed in body_hash
  request_hash bytea not null,
  body_hash bytea,
  -- identifies the request that owns the lease; a request that takes over after its end has another token
  token uuid not null,
  lease_until timestamptz not null,
  -- the response, with null in place of each secret
  status smallint,
  body text,
  expires_at timestamptz not null,
  primary key (api_key_id, key)
);
create index idempotency_keys_expiry on idempotency_keys (expires_at);
