-- A person of an account. The password is an argon2id hash in the usual text form, `$argon2id$v=19$m=...`.
create table users (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  email text not null,
  role text not null constraint users_role check (role in ('owner', 'editor', 'viewer')),
  password_hash text not null,
  created_at timestamptz not null default now()
);
create unique index users_email_key on users (lower(email));
create index users_account on users (account_id, id);
