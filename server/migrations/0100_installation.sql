-- One row: the mode of this database and its state as a whole. A process in the other mode does not start on it.
create table installation (
  only_row boolean primary key default true constraint installation_only_row check (only_row),
  mode text not null constraint installation_mode check (mode in ('sandbox', 'production')),
  -- set by a restore: the copy sends nothing until an operator resumes sending, because the original may still be
  -- running
  sending_paused boolean not null default false,
  created_at timestamptz not null default now()
);

-- Each running process writes its row once a second; /readyz and /metrics read it.
create unlogged table heartbeats (
  role text not null,
  instance_id uuid not null,
  details jsonb not null default '{}',
  -- the process's own metrics, so that one scrape of any api process returns those of all processes
  metrics jsonb,
  seen_at timestamptz not null,
  primary key (role, instance_id)
);
