import type { Db } from '../../db/db.ts'
import { param, raw, type Sql, sql } from '../../db/sql.ts'
import { listEvents, listEventTypes, type NumberedEvent } from '../../events/event-types.ts'
import { insertCallbackEndpoints } from './callback-endpoints.queries.ts'
import type { LoggedRequest, LoggedResponse } from './logged-exchange.ts'

/** The condition that the webhook `w` receives the type of the event `v`. */
export const receivesType = listEventTypes
  .map((type) => `(v.type = '${type}' and w.${listEvents[type].flag})`)
  .join(' or ')

/**
 * Inserts a delivery of each event for each webhook that receives it, and for its callback URL. A delivery of a phone with
 * an earlier one is behind that one. The endpoints are locked before, as `releaseEndpoint` requires.
 */
export async function insertDeliveries(tx: Db, events: NumberedEvent[], now: Date): Promise<void> {
  const listIds = [...new Set(events.flatMap(({ listId }) => listId ?? []))]
  const origins = events.map(({ callbackUrl }) => URL.parse(callbackUrl ?? '')?.origin ?? null)
  const callbacks = events.flatMap(({ accountId }, n) => (origins[n] ? [{ accountId, origin: origins[n] }] : []))
  if (callbacks.length > 0) await insertCallbackEndpoints(tx, callbacks)
  const locked = await tx.many<{ id: number }>(
    'lock_listening_endpoints',
    /* sql */ `
    select p.id from endpoints p
     where p.id = any(array(
       select e.id from webhooks w join endpoints e on e.webhook_id = w.id where w.list_id = any($1::bigint[]) and w.deleted_at is null
        union all
       select e.id from unnest($2::bigint[], $3::text[]) as c(account_id, origin)
         join endpoints e on e.account_id = c.account_id and e.origin = c.origin))
     order by p.id for update of p`,
    [listIds, callbacks.map(({ accountId }) => accountId), callbacks.map(({ origin }) => origin)],
  )
  if (locked.length === 0) return
  const event = sql`
        unnest(${events.map(({ position }) => position)}::bigint[], ${events.map(({ accountId }) => accountId)}::bigint[],
               ${events.map(({ listId }) => listId)}::bigint[], ${events.map(({ type }) => type)}::text[],
               ${events.map(({ phone }) => phone)}::bigint[], ${origins}::text[])
          as v(position, account_id, list_id, type, phone, origin)`
  const ids = param(locked.map(({ id }) => id))
  const target = sql`
      select v.position, v.phone, p.id as endpoint_id
        from ${event}
        join webhooks w on w.list_id = v.list_id and w.deleted_at is null and (${raw(receivesType)})
        join endpoints p on p.webhook_id = w.id and p.id = any(${ids}::bigint[])
       union all
      select v.position, v.phone, p.id
        from ${event}
        join endpoints p on p.account_id = v.account_id and p.origin = v.origin`
  await lockPhones('lock_phones_of_events', tx, target)
  await tx.exec(
    'insert_deliveries',
    sql`
    with target as (${target}
    ), added as (
      insert into deliveries (endpoint_id, position, phone, due_at, is_behind, is_replay) ${newRows(now, sql`false`)}
      returning endpoint_id, due_at, is_behind
    ), preferred as (
      -- live ones wait for them
      update deliveries set is_replay = false
       where id = any(array(select r.id from target t, lateral (
                              select id from deliveries where endpoint_id = t.endpoint_id and phone = t.phone and is_replay offset 0) r))
    )
    update endpoints p set next_due_at = least(p.next_due_at, a.due_at)
      from (select endpoint_id, min(due_at) as due_at from added where not is_behind group by endpoint_id) a
     where p.id = a.endpoint_id and (p.next_due_at is null or p.next_due_at > a.due_at)`,
  )
}

/** The rows of new deliveries of the relation `target`: of each phone, all but the first one are behind another one. */
export const newRows = (now: Date, isReplay: Sql) => sql`
      select t.endpoint_id, t.position, t.phone, ${now}::timestamptz,
             t.phone is not null
             and (row_number() over (partition by t.endpoint_id, t.phone order by t.position) > 1
                  -- not "exists", for which the whole queue could be hashed
                  or (select d.id from deliveries d where d.endpoint_id = t.endpoint_id and d.phone = t.phone
                       order by d.id limit 1) is not null),
             ${isReplay}
        from target t
       order by t.position`

/**
 * Locks the last delivery of each phone and endpoint of `target`, so that it does not end before new ones behind it are committed. The
 * endpoints must be locked, so that nobody else inserts deliveries. The first ones and replayed ones are locked, too, in the
 * order of all ids: who makes the next one of a phone the first one has the lock of the one before.
 */
export async function lockPhones(name: string, tx: Db, target: Sql): Promise<void> {
  for (;;) {
    const { found, locked } = await tx.one<{ found: number; locked: number }>(
      name,
      sql`
      with named as (
        select distinct endpoint_id, phone from (${target}) t where phone is not null
      ), wanted as (
        select (select d.id from deliveries d where d.endpoint_id = n.endpoint_id and d.phone = n.phone order by d.id limit 1) as id
          from named n
         union
        select (select d.id from deliveries d where d.endpoint_id = n.endpoint_id and d.phone = n.phone order by d.id desc limit 1)
          from named n
         union
        select r.id from named n, lateral (
          select id from deliveries where endpoint_id = n.endpoint_id and phone = n.phone and is_replay offset 0) r
      ), held as (
        select id from deliveries where id = any(array(select id from wanted)) order by id for no key update
      )
      select (select count(id) from wanted) as found, (select count(*) from held) as locked`,
    )
    // if one has ended meanwhile, another one may be the last one
    if (locked === found) return
  }
}

export type DueDelivery = {
  id: number
  position: number
  type: string
  phone: number | null
  attempts: number
  /** The number of replays that were requested while the delivery waited. */
  round: number
  payload: string
  isTest: boolean
  /** Whether an earlier event of the phone was given up, and the endpoint has received none of the phone since. */
  isAfterDeadLetter: boolean
  /** The URL of a callback; null means the one of the endpoint's webhook. */
  callbackUrl: string | null
}

/**
 * Returns the endpoint's next due deliveries except these, of each phone only the first one: live ones in the order in which they
 * became due, and then up to `maxReplays` replayed ones. A replayed one that a live one of its phone waits for is a live one.
 */
export function listDueDeliveries(
  db: Db,
  endpointId: number,
  now: Date,
  except: number[],
  { limit, maxReplays }: { limit: number; maxReplays: number },
) {
  return db.many<DueDelivery>(
    'list_due_deliveries',
    /* sql */ `
    select d.id, d.position, v.type, d.phone, d.attempts, d.round, v.payload::text as payload,
           v.callback_url as "callbackUrl", v.is_test as "isTest",
           exists (select from dead_letters l where l.endpoint_id = $1 and l.phone = d.phone) as "isAfterDeadLetter"
      from (
        (select * from deliveries
          where endpoint_id = $1 and not is_behind and not is_replay and due_at <= $2 and id <> all($3::bigint[])
          order by due_at, id limit $4)
         union all
        (select * from deliveries
          where endpoint_id = $1 and not is_behind and is_replay and due_at <= $2 and id <> all($3::bigint[])
          order by due_at, id limit $5)
      ) d join events v on v.position = d.position
     where (select p.disabled_at is null from endpoints p where p.id = $1)
     order by d.is_replay, d.due_at, d.id limit $4`,
    [endpointId, now, except, limit, maxReplays],
  )
}

/** The result of an attempt. */
export type DeliveryAttempt = {
  delivery: Pick<DueDelivery, 'id' | 'round' | 'position' | 'type' | 'phone' | 'isTest'> & {
    accountId: number
    endpointId: number
  }
  /** The revision of the endpoint that had the URL. */
  revision: number
  /** From 1. */
  attempt: number
  outcome: 'delivered' | 'failed' | 'dead'
  /** When a failed delivery is retried; null for others. */
  retryAt: Date | null
  /** For how long the endpoint wants no request. */
  pauseMs: number
  startedAt: Date
  durationMs: number
  request: LoggedRequest
  status: number | null
  error: string | null
  response: LoggedResponse | null
}

/**
 * Records attempts: deliveries that were made or given up end, and the next ones of their phones follow; others get the time of
 * their retry. A delivery whose replay was requested during a failed attempt stays due. After one that was given up, those of the phone are marked until one is received. Endpoints are locked
 * before deliveries, and both in the order of their ids. Recording an attempt again only adds a row to the log. Rows are found by
 * arrays of ids: a join could read the whole queue for each attempt when the statistics say that the queue is empty.
 */
export async function recordAttempts(db: Db, attempts: DeliveryAttempt[]): Promise<void> {
  const of = <T>(read: (attempt: DeliveryAttempt) => T) => attempts.map(read)
  await db.exec(
    'record_attempts',
    sql`
    with result as (
      select * from unnest(
        ${of(({ delivery }) => delivery.id)}::bigint[], ${of(({ delivery }) => delivery.round)}::int[],
        ${of(({ delivery }) => delivery.accountId)}::bigint[],
        ${of(({ delivery }) => delivery.endpointId)}::bigint[], ${of(({ delivery }) => delivery.type)}::text[],
        ${of(({ delivery }) => delivery.position)}::bigint[], ${of(({ delivery }) => delivery.phone)}::bigint[],
        ${of(({ delivery }) => delivery.isTest)}::boolean[],
        ${of(({ attempt }) => attempt)}::int[], ${of(({ outcome }) => outcome)}::text[],
        ${of(({ retryAt }) => retryAt)}::timestamptz[], ${of(({ startedAt }) => startedAt)}::timestamptz[],
        ${of(({ durationMs }) => durationMs)}::int[], ${of(({ status }) => status)}::int[],
        ${of(({ error }) => error)}::text[], ${of(({ request }) => request.url)}::text[],
        ${of(({ request }) => JSON.stringify(request.headers))}::json[],
        ${of(({ response }) => response && JSON.stringify(response.headers))}::json[],
        ${of(({ response }) => response?.body ?? null)}::bytea[])
        as r(id, round, account_id, endpoint_id, type, position, phone, is_test, attempt, outcome, retry_at, started_at, duration_ms, status,
             error, url, request_headers, response_headers, response)
    ), logged as (
      insert into delivery_attempts (account_id, endpoint_id, position, type, phone, is_test, attempt, outcome, started_at,
                                     duration_ms, url, request_headers, status, error, response_headers, response)
      select account_id, endpoint_id, position, type, phone, is_test, attempt, outcome, started_at, duration_ms, url,
             request_headers, status, error, response_headers, response
        from result
    ), counted as (
      insert into attempt_counts as c (endpoint_id, since, delivered, failed, last_delivered_at)
      select endpoint_id, date_bin('5 minutes', started_at, 'epoch') as since, count(*) filter (where outcome = 'delivered'),
             count(*) filter (where outcome <> 'delivered'), max(started_at) filter (where outcome = 'delivered')
        from result group by endpoint_id, since order by endpoint_id, since
          on conflict (endpoint_id, since) do update
         set delivered = c.delivered + excluded.delivered, failed = c.failed + excluded.failed,
             last_delivered_at = greatest(c.last_delivered_at, excluded.last_delivered_at)
    ), turned as (
      -- locked in the order of their ids, as the fan-out does
      select p.id, case when e.is_success then null else e.at end as failing_since
        from endpoints p
        join (select endpoint_id, bool_or(outcome = 'delivered') as is_success, min(started_at) as at
                from result group by endpoint_id) e on e.endpoint_id = p.id
       where (p.failing_since is null) <> e.is_success
       order by p.id for update of p
    ), own as (
      select id, round from deliveries
       where id = any(${of(({ delivery }) => delivery.id)}::bigint[]) and (select count(*) from turned) >= 0
       order by id for update
    ), failure as (
      -- a replay that was requested meanwhile has increased the round
      select * from result where outcome <> 'delivered' and (id, round) in (select id, round from own)
    ), ended as (
      delete from deliveries
       where id = any(array(select id from result where outcome = 'delivered' and id in (select id from own)
                            union all select id from failure where outcome = 'dead'))
    ), retried as (
      update deliveries d
         set (attempts, due_at) = (select greatest(d.attempts, r.attempt), r.retry_at from failure r where r.id = d.id limit 1)
       where d.id = any(array(select id from failure where outcome = 'failed'))
    ), given_up as (
      insert into dead_letters as l (endpoint_id, phone, given_up_at)
      select endpoint_id, phone, max(started_at) from failure where outcome = 'dead' and phone is not null
       group by endpoint_id, phone order by endpoint_id, phone
          on conflict (endpoint_id, phone) do update set given_up_at = greatest(l.given_up_at, excluded.given_up_at)
    ), received as (
      delete from dead_letters l using result r
       where r.outcome = 'delivered' and l.endpoint_id = r.endpoint_id and l.phone = r.phone
    )
    update endpoints p set failing_since = t.failing_since from turned t where p.id = t.id`,
  )
}

/** Postpones a delivery whose attempt cannot be recorded. */
export function postponeDelivery(db: Db, id: number, until: Date) {
  return db.exec('postpone_delivery', /* sql */ `update deliveries set due_at = $2 where id = $1`, [id, until])
}

/** Deletes up to `limit` of the oldest attempts, those that were made before a time, and returns how many. */
export function deleteAttempts(db: Db, before: Date, limit: number): Promise<number> {
  return db.exec(
    'delete_delivery_attempts',
    /* sql */ `
    delete from delivery_attempts
     where id = any(array(select id from (select id, started_at from delivery_attempts order by id limit $2) first
                           where started_at < $1))`,
    [before, limit],
  )
}

/** Deletes up to `limit` counts of attempts before a time, and returns how many. */
export function deleteAttemptCounts(db: Db, before: Date, limit: number): Promise<number> {
  return db.exec(
    'delete_attempt_counts',
    /* sql */ `
    delete from attempt_counts
     where (endpoint_id, since) in (select endpoint_id, since from attempt_counts where since < $1 order by since limit $2)`,
    [before, limit],
  )
}

/** Deletes up to `limit` deliveries of events that occurred before a time, and returns how many. */
export function deleteDeliveries(db: Db, before: Date, limit: number): Promise<number> {
  return db.exec(
    'delete_deliveries',
    /* sql */ `
    with old as (
      select d.id from (select id, position from deliveries order by position limit $2) d
        join events v on v.position = d.position
       where v.occurred_at < $1
    ), held as (
      select id from deliveries where id = any(array(select id from old)) order by id for update
    )
    delete from deliveries where id = any(array(select id from held))`,
    [before, limit],
  )
}

/** Deletes up to `limit` marks of phones with an event that was given up before a time, and returns how many. */
export function deleteDeadLetters(db: Db, before: Date, limit: number): Promise<number> {
  return db.exec(
    'delete_dead_letters',
    /* sql */ `
    delete from dead_letters
     where (endpoint_id, phone) in (select endpoint_id, phone from dead_letters where given_up_at < $1
                                     order by given_up_at limit $2)`,
    [before, limit],
  )
}
