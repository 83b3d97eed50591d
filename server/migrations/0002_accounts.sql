create table accounts (
  id bigint generated always as identity primary key,
  email text not null,
  username text not null,
  -- the zone whose offset the account's response times carry
  time_zone text not null default 'America/Los_Angeles',
  created_at timestamptz not null default now()
);
create unique index accounts_email_key on accounts (lower(email));

-- Only the SHA-256 of a key is kept; `prefix` finds the row, the hash is compared in constant time.
create table api_keys (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  name text not null,
  prefix text not null constraint api_keys_prefix_key unique,
  hash bytea not null,
  scope text not null default 'full' constraint api_keys_scope check (scope in ('full', 'read', 'send')),
  -- made by the sandbox: refused in production mode, and without a rate limit
  sandbox boolean not null default false,
  disabled_at timestamptz,
  created_at timestamptz not null default now()
);
create index api_keys_account on api_keys (account_id);

-- A short code is any sender address: short code, ten-digit or toll-free number.
create table short_codes (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  code text not null constraint short_codes_code_key unique,
  created_at timestamptz not null default now()
);
create index short_codes_account on short_codes (account_id, id);

-- Our SMPP account at an aggregator or SMSC; a receipt is matched within the connection it came over.
create table connections (
  id smallint generated always as identity primary key,
  name text not null constraint connections_name_key unique,
  created_at timestamptz not null default now()
);
