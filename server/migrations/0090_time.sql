-- When texts may go out. A chunk's `place` says where the handsets of all its rows may be (quiet-hours/places.ts), so that
-- the next window can be told without them; null where no window is asked for.
alter table send_chunks add column place text;

alter table messages
  -- nothing of it leaves until it is resumed; who is queued stays so
  add column paused_at timestamptz,
  -- who was not texted by then never is
  add column deliver_by timestamptz,
  -- each recipient at this wall-clock time of his own zone; send_at is that of the account's
  add column local_at timestamp,
  -- when a scheduled one begins: send_at, or earlier where a zone is ahead of the account's
  add column starts_at timestamptz,
  -- it keeps to the hours that the law and the account allow where the handset is
  add column quiet_hours boolean not null default false,
  -- and, whatever those allow, to these of the day there
  add column send_from time,
  add column send_to time,
  add constraint messages_send_hours check ((send_from is null) = (send_to is null) and send_from < send_to);
update messages set starts_at = send_at;
alter table messages add constraint messages_starts check (status <> 'scheduled' or starts_at is not null);
drop index messages_due;
create index messages_due on messages (starts_at, id) where status = 'scheduled';
create index messages_paused on messages (id) where status = 'sending' and paused_at is not null;
create index messages_deadline on messages (deliver_by) where status = 'sending' and deliver_by is not null;

alter table accounts
  -- broadcasts keep to quiet hours; nobody's did before there was the switch
  add column quiet_hours boolean not null default false,
  -- and so do texts to given numbers
  add column quiet_hours_transactional boolean not null default false;

alter table lists
  add column quiet_hours boolean not null default false,
  add column send_from time,
  add column send_to time,
  add constraint lists_send_hours check ((send_from is null) = (send_to is null) and send_from < send_to);

-- From when to when people may be texted, by the clock where they are. Rows of no account are the law as we know it; an
-- account's own row for a state stands in their stead for that state on those days.
create table quiet_hours (
  id bigint generated always as identity primary key,
  account_id bigint references accounts,
  -- US is every state without rows of its own
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
