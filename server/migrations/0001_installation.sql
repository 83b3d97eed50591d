-- One row: what this database is and which mode it was made for. A role refuses a database of another mode.
create table installation (
  only_row boolean primary key default true constraint installation_only_row check (only_row),
  mode text not null constraint installation_mode check (mode in ('sandbox', 'production')),
  created_at timestamptz not null default now()
);

-- A running process says here, once a second, that it lives and how it does; /readyz reads it.
create unlogged table heartbeats (
  role text not null,
  instance_id uuid not null,
  details jsonb not null default '{}',
  seen_at timestamptz not null,
  primary key (role, instance_id)
);
