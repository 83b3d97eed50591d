-- What managing keys needs. A revoked key stays on record, because imports and the ledger of consent name it.
alter table api_keys
  add column revoked_at timestamptz,
  -- to the minute: not every call writes it
  add column last_used_at timestamptz,
  -- `calls/seconds` or `off`; null is what the installation says
  add column rate_limit text
    constraint api_keys_rate_limit check (rate_limit ~ '^(off|[1-9][0-9]{0,6}/[1-9][0-9]{0,3})$'),
  -- the key that the sandbox's banner shows; `sandbox` marks every key made in sandbox mode
  add column seeded boolean not null default false;
update api_keys set seeded = true where sandbox;
