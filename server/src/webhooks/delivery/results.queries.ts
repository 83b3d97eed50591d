import type { Db } from '../../db/db.ts'
import { sql } from '../../db/sql.ts'
import type { DueDelivery } from './deliveries.queries.ts'
import type { LoggedRequest, LoggedResponse } from './logged-exchange.ts'

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
