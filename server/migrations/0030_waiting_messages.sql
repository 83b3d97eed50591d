-- A message may wait before it is accepted for sending: as a draft until somebody sends it, scheduled until it is due.
alter table messages
  alter column accepted_at drop not null,
  alter column logged_on drop not null,
  add column created_at timestamptz not null default now(),
  -- when a scheduled one is due; its audience is who is subscribed then, even if it starts late
  add column send_at timestamptz,
  -- why we cancelled it ourselves: too_late, list_deleted
  add column cancel_reason text,
  -- how many parts its text may have; null for the contract's 160 characters
  add column max_parts smallint constraint messages_max_parts check (max_parts between 1 and 10),
  -- which of the list's subscribers, as the API has it: {"tags_any": ["a"], ...}; null for all of them
  add column audience jsonb;
update messages set created_at = accepted_at;
alter table messages
  add constraint messages_accepted
    check (status in ('draft', 'scheduled', 'cancelled') or (accepted_at is not null and logged_on is not null)),
  add constraint messages_scheduled check (status <> 'scheduled' or send_at is not null);

create index messages_due on messages (send_at, id) where status = 'scheduled';
-- cancelled while it was being sent: receipts of what had gone out still come
create index messages_cancelled on messages (cancelled_at) where status = 'cancelled' and closed_at is null;

-- How long after its time a scheduled message may still go out, when the machine slept or was switched off.
alter table lists
  add column scheduled_lateness_minutes integer not null default 60
    constraint lists_scheduled_lateness_minutes check (scheduled_lateness_minutes between 1 and 10080);
