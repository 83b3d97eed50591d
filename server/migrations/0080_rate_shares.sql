-- Shares of a cap follow who has work for it: an idle gateway keeps a small one.
alter table rate_shares
  -- its gateway has texts that wait for it
  add column wanted boolean not null default false;

-- Counts how often a share of this cap has grown: who grows his says which shares he has seen, and is refused when
-- another was quicker.
create table rate_caps (
  cap text primary key,
  version integer not null default 0
) with (fillfactor = 50);
