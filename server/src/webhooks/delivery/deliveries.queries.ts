import type { Db } from '../../db/db.ts'
import { sql } from '../../db/sql.ts'
import { listEvents, listEventTypes, type NumberedEvent } from '../../events/event-types.ts'
import type { LoggedRequest, LoggedResponse } from './logged-exchange.ts'

const receives = listEventTypes.map((type) => `(v.type = '${type}' and w.${listEvents[type].flag})`).join(' or ')

/**
 * Inserts a delivery of each event for each enabled webhook that receives it. A delivery of a phone with an earlier one that
 * waits for a retry is due with that one. The endpoints are locked before, as `releaseEndpoint` requires.
 */
export async function insertDeliveries(tx: Db, events: NumberedEvent[], now: Date): Promise<void> {
  const listIds = [...new Set(events.flatMap(({ listId }) => listId ?? []))]
  const locked = await tx.many<{ id: number }>(
    'lock_listening_endpoints',
    /* sql */ `
    select p.id from endpoints p join webhooks w on w.id = p.webhook_id
     where w.list_id = any($1::bigint[]) and w.enabled order by p.id for update of p`,
    [listIds],
  )
  if (locked.length === 0) return
  await tx.exec(
    'insert_deliveries',
    /* sql */ `
    with added as (
      insert into deliveries (endpoint_id, position, phone, due_at)
      select p.id, v.position, v.phone,
             greatest($6::timestamptz,
                      (select max(d.due_at) from deliveries d where d.endpoint_id = p.id and d.phone = v.phone))
        from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) as v(position, list_id, type, phone)
        join webhooks w on w.list_id = v.list_id and w.enabled and (${receives})
        join endpoints p on p.webhook_id = w.id and p.id = any($5::bigint[])
       order by v.position
      returning endpoint_id, due_at
    )
    update endpoints p set next_due_at = least(p.next_due_at, a.due_at)
      from (select endpoint_id, min(due_at) as due_at from added group by endpoint_id) a
     where p.id = a.endpoint_id and (p.next_due_at is null or p.next_due_at > a.due_at)`,
    [
      events.map(({ position }) => position),
      events.map(({ listId }) => listId),
      events.map(({ type }) => type),
      events.map(({ phone }) => phone),
      locked.map(({ id }) => id),
      now,
    ],
  )
}

export type DueDelivery = {
  id: number
  position: number
  type: string
  phone: number | null
  attempts: number
  payload: string
}

/**
 * Returns the endpoint's next due deliveries except these, in the order in which they became due; of each phone only the
 * first delivery.
 */
export function listDueDeliveries(db: Db, endpointId: number, now: Date, except: number[], limit: number) {
  return db.many<DueDelivery>(
    'list_due_deliveries',
    /* sql */ `
    select d.id, d.position, v.type, d.phone, d.attempts, v.payload::text as payload
      from deliveries d join events v on v.position = d.position
     where d.endpoint_id = $1 and d.due_at <= $2 and d.id <> all($3::bigint[])
       and not exists (select from deliveries b
                        where b.endpoint_id = d.endpoint_id and b.phone = d.phone and b.id < d.id)
     order by d.due_at, d.id limit $4`,
    [endpointId, now, except, limit],
  )
}

/** The result of an attempt. */
export type DeliveryAttempt = {
  delivery: Pick<DueDelivery, 'id' | 'position' | 'type' | 'phone'> & { accountId: number; endpointId: number }
  /** From 1. */
  attempt: number
  outcome: 'delivered' | 'failed' | 'dead'
  /** When a failed delivery is retried; null for others. */
  retryAt: Date | null
  startedAt: Date
  durationMs: number
  request: LoggedRequest
  status: number | null
  error: string | null
  response: LoggedResponse | null
}

/**
 * Records attempts: deliveries that were made or given up end, others get the time of their retry, which later deliveries of
 * the phone wait for. Recording an attempt again only adds a row to the log.
 */
export async function recordAttempts(db: Db, attempts: DeliveryAttempt[]): Promise<void> {
  const of = <T>(read: (attempt: DeliveryAttempt) => T) => attempts.map(read)
  await db.exec(
    'record_attempts',
    sql`
    with result as (
      select * from unnest(
        ${of(({ delivery }) => delivery.id)}::bigint[], ${of(({ delivery }) => delivery.accountId)}::bigint[],
        ${of(({ delivery }) => delivery.endpointId)}::bigint[], ${of(({ delivery }) => delivery.type)}::text[],
        ${of(({ delivery }) => delivery.position)}::bigint[], ${of(({ delivery }) => delivery.phone)}::bigint[],
        ${of(({ attempt }) => attempt)}::int[], ${of(({ outcome }) => outcome)}::text[],
        ${of(({ retryAt }) => retryAt)}::timestamptz[], ${of(({ startedAt }) => startedAt)}::timestamptz[],
        ${of(({ durationMs }) => durationMs)}::int[], ${of(({ status }) => status)}::int[],
        ${of(({ error }) => error)}::text[], ${of(({ request }) => request.url)}::text[],
        ${of(({ request }) => JSON.stringify(request.headers))}::json[],
        ${of(({ response }) => response && JSON.stringify(response.headers))}::json[],
        ${of(({ response }) => response?.body ?? null)}::bytea[])
        as r(id, account_id, endpoint_id, type, position, phone, attempt, outcome, retry_at, started_at, duration_ms, status,
             error, url, request_headers, response_headers, response)
    ), logged as (
      insert into delivery_attempts (account_id, endpoint_id, position, type, phone, attempt, outcome, started_at, duration_ms,
                                     url, request_headers, status, error, response_headers, response)
      select account_id, endpoint_id, position, type, phone, attempt, outcome, started_at, duration_ms, url, request_headers,
             status, error, response_headers, response
        from result
    ), ended as (
      delete from deliveries d using result r where d.id = r.id and r.outcome <> 'failed'
    ), retried as (
      update deliveries d set attempts = greatest(d.attempts, r.attempt), due_at = r.retry_at
        from result r where d.id = r.id and r.outcome = 'failed'
    ), postponed as (
      update deliveries d set due_at = greatest(d.due_at, r.retry_at)
        from result r
       where r.outcome = 'failed' and d.endpoint_id = r.endpoint_id and d.phone = r.phone and d.id > r.id
    ), marked as (
      update deliveries d set after_dead_letter = true
        from result r
       where r.outcome = 'dead' and d.endpoint_id = r.endpoint_id and d.phone = r.phone and d.id > r.id
    )
    update endpoints p
       set failing_since = case when e.is_success then null else coalesce(p.failing_since, e.at) end
      from (select endpoint_id, bool_or(outcome = 'delivered') as is_success, min(started_at) as at
              from result group by endpoint_id) e
     where p.id = e.endpoint_id and (p.failing_since is null) <> e.is_success`,
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
