-- Which of window, mps and slots the address in CARILLON_SMPP_URL names: who has not that setting refuses to change them too,
-- because the next start of a gateway would put them back.
alter table connections
  add column environment_names text[] not null default '{}'
    constraint connections_environment_names check (environment_names <@ '{window,mps,slots}');
