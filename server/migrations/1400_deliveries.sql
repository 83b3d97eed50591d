-- A URL that receives the events of a list, or a host that receives those of transactional messages, each at the URL of its
-- message. One worker at a time delivers to it: the holder of its lease.
create table endpoints (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  webhook_id bigint constraint endpoints_webhook unique references webhooks on delete cascade,
  -- scheme, host and port of callback URLs; `others` for those of further hosts, `tests` for test events
  origin text,
  -- sealed; the previous one signs as well until its time is over
  secret bytea,
  previous_secret bytea,
  previous_secret_until timestamptz,
  -- headers that deliveries have in addition, sealed, and their names
  headers bytea,
  header_names text[] not null default '{}',
  -- null without a limit of its own
  calls_per_second integer,
  leased_by uuid,
  leased_until timestamptz,
  -- when a delivery is due, or earlier; null without a delivery
  next_due_at timestamptz,
  -- the time of the first failed attempt since the last success
  failing_since timestamptz,
  -- counts the updates of the webhook: results of attempts before one neither pause nor disable the endpoint
  revision integer not null default 0,
  -- until then there is no attempt, after failures or as the endpoint asked for
  paused_until timestamptz,
  disabled_at timestamptz,
  -- gone: the endpoint responded 410; failing: no attempt succeeded for days; requested: by its owner; deleted: with its webhook
  disabled_reason text constraint endpoints_disabled_reason check (disabled_reason in ('gone', 'failing', 'requested', 'deleted')),
  constraint endpoints_origin unique (account_id, origin),
  constraint endpoints_target check ((webhook_id is null) = (origin is not null)),
  constraint endpoints_disabled check ((disabled_at is null) = (disabled_reason is null))
);
create index endpoints_due on endpoints (next_due_at) where next_due_at is not null and disabled_at is null;
create index endpoints_failing on endpoints (failing_since) where failing_since is not null and disabled_at is null;

-- The secrets that sign the callbacks of an account's transactional messages, once the owner has read or set one.
create table callback_secrets (
  account_id bigint primary key references accounts,
  secret bytea not null,
  previous_secret bytea,
  previous_secret_until timestamptz
);

-- Events that an endpoint has not received yet; a delivery ends with the deletion of its row.
create table deliveries (
  id bigint generated always as identity primary key,
  endpoint_id bigint not null references endpoints on delete cascade,
  position bigint not null,
  -- deliveries of one phone are made in the order of their ids
  phone bigint,
  -- attempts that were made
  attempts smallint not null default 0,
  due_at timestamptz not null,
  -- of a replay: made while no other delivery of the endpoint is due, until a later event of the phone waits for it
  is_replay boolean not null default false,
  -- grows with each replay of the event, so that an attempt before it does not end the delivery
  round integer not null default 0,
  -- whether an earlier delivery of the phone must end first: only the first one of each phone is in the indexes of due deliveries
  is_behind boolean not null default false
);
create index deliveries_due on deliveries (endpoint_id, due_at, id) where not is_behind and not is_replay;
create index deliveries_due_replays on deliveries (endpoint_id, due_at, id) where not is_behind and is_replay;
create index deliveries_position on deliveries (position);
create unique index deliveries_event on deliveries (endpoint_id, position);
create index deliveries_phone on deliveries (endpoint_id, phone, id);
create index deliveries_phone_replays on deliveries (endpoint_id, phone, id) where is_replay;

-- The next delivery of a phone becomes the first one when that ends, whichever statement deletes it. Statements that insert deliveries
-- lock the last one of each phone before, so it cannot end until their rows are visible here.
create function advance_phones() returns trigger language plpgsql as $$
begin
  update deliveries set is_behind = false
   where id = any(array(
           select (select d.id from deliveries d where d.endpoint_id = e.endpoint_id and d.phone = e.phone order by d.id limit 1)
             from (select distinct endpoint_id, phone from ended where phone is not null) e))
     and is_behind;
  return null;
end $$;
create trigger deliveries_ended after delete on deliveries referencing old table as ended
  for each statement execute function advance_phones();

-- The phones of which an endpoint did not receive an event that was given up, until it receives another one of the phone. No
-- reference to the endpoint, which may be deleted while attempts are made.
create table dead_letters (
  endpoint_id bigint not null,
  phone bigint not null,
  -- the last one
  given_up_at timestamptz not null,
  primary key (endpoint_id, phone)
);
create index dead_letters_given_up on dead_letters (given_up_at);

-- One row per attempt to deliver an event. The last one of a delivery is `delivered` or `dead`.
create table delivery_attempts (
  id bigint generated always as identity primary key,
  account_id bigint not null,
  endpoint_id bigint not null,
  position bigint not null,
  type text not null,
  phone bigint,
  is_test boolean not null,
  -- from 1
  attempt smallint not null,
  outcome text not null constraint delivery_attempts_outcome check (outcome in ('delivered', 'failed', 'dead')),
  -- milliseconds, so that a cursor of the log has the exact value
  started_at timestamptz(3) not null,
  duration_ms integer not null,
  -- without its query; null if it is malformed
  url text,
  -- json, not jsonb: in the order in which they were sent, with the values of some only
  request_headers json not null,
  -- of the response, if there was one
  status smallint,
  -- why there was none: a reason of guarded-fetch.ts
  error text,
  response_headers json,
  response bytea
);
create index delivery_attempts_account on delivery_attempts (account_id, started_at, id);
create index delivery_attempts_endpoint on delivery_attempts (endpoint_id, started_at, id);
create index delivery_attempts_phone on delivery_attempts (account_id, phone, started_at, id);
create index delivery_attempts_position on delivery_attempts (position, endpoint_id, id);
create index delivery_attempts_failed on delivery_attempts (account_id, started_at, id) where outcome <> 'delivered';
create index delivery_attempts_endpoint_failed on delivery_attempts (endpoint_id, started_at, id)
  where outcome <> 'delivered';

-- The attempts of an endpoint in five minutes. No reference to the endpoint, which may be deleted while attempts are made.
create table attempt_counts (
  endpoint_id bigint not null,
  since timestamptz not null,
  delivered integer not null,
  failed integer not null,
  last_delivered_at timestamptz(3),
  primary key (endpoint_id, since)
);
create index attempt_counts_since on attempt_counts (since);

-- A request to deliver events again: those of a range of positions, or those that were given up since a time. Accounts take
-- turns; each turn queues a slice.
create table replays (
  id bigint generated always as identity primary key,
  account_id bigint not null references accounts,
  endpoint_id bigint not null references endpoints on delete cascade,
  kind text not null constraint replays_kind check (kind in ('positions', 'failures')),
  from_position bigint,
  to_position bigint,
  failed_since timestamptz(3),
  -- capped: there is more than one replay may queue
  state text not null default 'queued' constraint replays_state check (state in ('queued', 'done', 'capped', 'failed')),
  -- deliveries that it has queued
  replayed integer not null default 0,
  -- where the next slice begins: after an event, or after an attempt
  after_position bigint,
  after_at timestamptz(3),
  after_attempt bigint not null default 0,
  failures integer not null default 0,
  retry_at timestamptz,
  created_at timestamptz(3) not null,
  ended_at timestamptz,
  constraint replays_ended check ((ended_at is null) = (state = 'queued'))
);
create index replays_open on replays (account_id, id) where ended_at is null;
create index replays_ended on replays (ended_at) where ended_at is not null;
create index replays_endpoint on replays (endpoint_id);
