import type { Db } from '../../db/db.ts'
import { param, raw, sql } from '../../db/sql.ts'
import { listEvents, listEventTypes, type NumberedEvent } from '../../events/event-types.ts'
import { insertCallbackEndpoints } from './endpoints.queries.ts'
import type { LoggedRequest, LoggedResponse } from './logged-exchange.ts'

/** The condition that the webhook `w` receives the type of the event `v`. */
export const receivesType = listEventTypes
  .map((type) => `(v.type = '${type}' and w.${listEvents[type].flag})`)
  .join(' or ')

/**
 * Inserts a delivery of each event for each enabled webhook that receives it, and for its callback URL. A delivery of a phone with
 * an earlier one that waits for a retry is due with that one. The endpoints are locked before, as `releaseEndpoint` requires.
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
       select e.id from webhooks w join endpoints e on e.webhook_id = w.id where w.list_id = any($1::bigint[]) and w.enabled
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
  await tx.exec(
    'insert_deliveries',
    sql`
    with target as (
      select v.position, v.phone, p.id as endpoint_id
        from ${event}
        join webhooks w on w.list_id = v.list_id and w.enabled and (${raw(receivesType)})
        join endpoints p on p.webhook_id = w.id and p.id = any(${ids}::bigint[])
       union all
      select v.position, v.phone, p.id
        from ${event}
        join endpoints p on p.account_id = v.account_id and p.origin = v.origin
    ), added as (
      insert into deliveries (endpoint_id, position, phone, due_at)
      select t.endpoint_id, t.position, t.phone,
             greatest(${now}::timestamptz,
                      (select d.due_at from deliveries d
                        where d.endpoint_id = t.endpoint_id and d.phone = t.phone and not d.is_replay order by d.id desc limit 1),
                      (select d.due_at from deliveries d
                        where d.endpoint_id = t.endpoint_id and d.phone = t.phone and d.is_replay order by d.id desc limit 1))
        from target t
       order by t.position
      returning endpoint_id, due_at
    )
    update endpoints p set next_due_at = least(p.next_due_at, a.due_at)
      from (select endpoint_id, min(due_at) as due_at from added group by endpoint_id) a
     where p.id = a.endpoint_id and (p.next_due_at is null or p.next_due_at > a.due_at)`,
  )
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
  /** Whether an earlier delivery of the phone was given up. */
  isAfterDeadLetter: boolean
  /** The URL of a callback; null means the one of the endpoint's webhook. */
  callbackUrl: string | null
}

/**
 * Returns the endpoint's next due deliveries except these, of each phone only the first one: live ones in the order in which they
 * became due, and then up to `maxReplays` replayed ones. A replayed one that a live one of its phone waits for comes in its place.
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
           v.callback_url as "callbackUrl", v.is_test as "isTest", d.after_dead_letter as "isAfterDeadLetter"
      from (
        (select f.id, false as is_replay, l.due_at, l.id as live_id
           from deliveries l
           join deliveries f on f.id = coalesce((select r.id from deliveries r
                                                  where r.endpoint_id = $1 and r.phone = l.phone and r.is_replay and r.id < l.id
                                                  order by r.id limit 1), l.id)
          where l.endpoint_id = $1 and not l.is_replay and l.due_at <= $2 and f.due_at <= $2 and f.id <> all($3::bigint[])
            and not exists (select from deliveries b
                             where b.endpoint_id = $1 and b.phone = l.phone and not b.is_replay and b.id < l.id)
          order by l.due_at, l.id limit $4)
         union all
        (select r.id, true, r.due_at, r.id
           from deliveries r
          where r.endpoint_id = $1 and r.is_replay and r.due_at <= $2 and r.id <> all($3::bigint[])
            and not exists (select from deliveries b where b.endpoint_id = $1 and b.phone = r.phone and not b.is_replay)
            and not exists (select from deliveries b
                             where b.endpoint_id = $1 and b.phone = r.phone and b.is_replay and b.id < r.id)
          order by r.due_at, r.id limit $5)
      ) n join deliveries d on d.id = n.id join events v on v.position = d.position
     order by n.is_replay, n.due_at, n.live_id limit $4`,
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
 * Records attempts: deliveries that were made or given up end, others get the time of their retry, which later deliveries of
 * the phone wait for. A delivery whose replay was requested during a failed attempt stays due. Recording an attempt again only adds
 * a row to the log. Endpoints are locked before deliveries, as in `requeueDeliveries`. Rows are found by arrays of ids: a join could
 * read the whole queue for each attempt when the statistics say that the queue is empty, as it was a moment ago.
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
    ), held as (
      -- a replay that was requested meanwhile has increased the round
      select d.id from deliveries d
       where d.id = any(array(select id from result where outcome <> 'delivered'))
         and d.round = (select r.round from result r where r.id = d.id limit 1)
       order by d.id for update
    ), failure as (
      select * from result where outcome <> 'delivered' and id in (select id from held)
    ), ended as (
      delete from deliveries
       where id = any(array(select id from result where outcome = 'delivered' union all select id from failure where outcome = 'dead'))
    ), retried as (
      update deliveries d
         set (attempts, due_at) = (select greatest(d.attempts, r.attempt), r.retry_at from failure r where r.id = d.id limit 1)
       where d.id = any(array(select id from failure where outcome = 'failed'))
    ), later as (
      select b.id, r.outcome, r.retry_at
        from failure r,
             lateral (select d.id from deliveries d
                       where d.endpoint_id = r.endpoint_id and d.phone = r.phone and not d.is_replay and d.id > r.id
                       union all
                      select d.id from deliveries d
                       where d.endpoint_id = r.endpoint_id and d.phone = r.phone and d.is_replay and d.id > r.id offset 0) b
    ), postponed as (
      update deliveries d
         set due_at = greatest(d.due_at, (select max(l.retry_at) from later l where l.id = d.id and l.outcome = 'failed'))
       where d.id = any(array(select id from later where outcome = 'failed'))
    ), marked as (
      update deliveries set after_dead_letter = true
       where id = any(array(select id from later where outcome = 'dead'))
    ), turned as (
      -- locked in the order of their ids, as the fan-out does
      select p.id, case when e.is_success then null else e.at end as failing_since
        from endpoints p
        join (select endpoint_id, bool_or(outcome = 'delivered') as is_success, min(started_at) as at
                from result group by endpoint_id) e on e.endpoint_id = p.id
       where (p.failing_since is null) <> e.is_success
       order by p.id for update of p
    )
    update endpoints p set failing_since = t.failing_since from turned t where p.id = t.id`,
  )
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
    with first as (
      select d.id, d.position from deliveries d order by d.position limit $2
    )
    delete from deliveries d using first f, events v
     where d.id = f.id and v.position = f.position and v.occurred_at < $1`,
    [before, limit],
  )
}
