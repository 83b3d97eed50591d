-- The hours of the day during which people may be texted, in their local time. Rows without an account are our reading
-- of the law; an account's own rows for a state replace them for that state on those days.
create table quiet_hours (
  id bigint generated always as identity primary key,
  account_id bigint references accounts,
  -- US means every state without rows of its own
  state text not null constraint quiet_hours_state check (state ~ '^[A-Z]{2}$'),
  -- 1 is Monday, 7 is Sunday
  weekdays smallint[] not null
    constraint quiet_hours_weekdays check (weekdays <@ '{1,2,3,4,5,6,7}' and cardinality(weekdays) > 0),
  from_time time not null,
  to_time time not null,
  source text not null,
  as_of date not null,
  constraint quiet_hours_times check (from_time < to_time)
);
create index quiet_hours_account on quiet_hours (account_id, state);

insert into quiet_hours (state, weekdays, from_time, to_time, source, as_of)
select state, '{1,2,3,4,5,6,7}', from_time::time, to_time::time, source, '2026-11-01'
  from (values
    ('US', '08:00', '21:00', '47 CFR 64.1200(c)(1)'),
    ('AL', '08:00', '20:00', 'referrizer.com; usestello.com/compliance'),
    ('FL', '08:00', '20:00', 'referrizer.com; usestello.com/compliance'),
    ('LA', '08:00', '20:00', 'referrizer.com; usestello.com/compliance'),
    ('MA', '08:00', '20:00', 'referrizer.com; usestello.com/compliance'),
    ('MD', '08:00', '20:00', 'referrizer.com; usestello.com/compliance'),
    ('MS', '08:00', '20:00', 'referrizer.com; usestello.com/compliance'),
    ('NJ', '08:00', '20:00', 'referrizer.com; usestello.com/compliance'),
    ('OK', '08:00', '20:00', 'referrizer.com; usestello.com/compliance'),
    ('WA', '08:00', '20:00', 'not confirmed'),
    ('CT', '09:00', '20:00', 'referrizer.com; usestello.com/compliance'),
    ('KY', '10:00', '21:00', 'usestello.com/compliance'),
    ('CA', '09:00', '21:00', 'usestello.com/compliance'),
    ('IL', '09:00', '21:00', 'usestello.com/compliance'),
    ('MI', '09:00', '21:00', 'usestello.com/compliance'),
    ('MN', '09:00', '21:00', 'usestello.com/compliance')
  ) as law(state, from_time, to_time, source);
insert into quiet_hours (state, weekdays, from_time, to_time, source, as_of)
values ('RI', '{1,2,3,4,5}', '09:00', '18:00', 'referrizer.com', '2026-11-01'),
       ('RI', '{6,7}', '10:00', '17:00', 'referrizer.com', '2026-11-01'),
       ('TX', '{1,2,3,4,5,6}', '09:00', '21:00', 'SB 140; referrizer.com; listrak.com', '2026-11-01'),
       ('TX', '{7}', '12:00', '21:00', 'SB 140; referrizer.com; listrak.com', '2026-11-01');
