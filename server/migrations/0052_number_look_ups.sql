-- What the look-up last said of a number. A fact about the number, not about anybody's list, so all accounts share it.
create table number_look_ups (
  phone bigint primary key,
  kind text not null constraint number_look_ups_kind
    check (kind in ('mobile', 'landline', 'voip', 'toll_free', 'unreachable', 'unknown')),
  carrier integer,
  carrier_name text,
  ported boolean,
  global_carrier_id text,
  global_carrier_name text,
  looked_up_at timestamptz not null
);

-- of the second numbering, which some look-ups know besides the first
alter table subscribers
  add column global_carrier_id text,
  add column global_carrier_name text;
