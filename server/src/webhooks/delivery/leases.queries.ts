import type { Db } from '../../db/db.ts'
import { param, raw, type Sql, sql } from '../../db/sql.ts'
import { firstDueAt, lockEndpoint } from './endpoints.queries.ts'
import type { SealedSecrets } from './sealed-secrets.sql.ts'

/** An endpoint whose lease a worker has; `url` is null for callbacks, of which each has its own URL. */
export type LeasedEndpoint = {
  id: number
  accountId: number
  url: string | null
  /** Sealed. */
  headers: Buffer | null
  callsPerSecond: number | null
  /** Changes with each update of the webhook. */
  revision: number
  /** The time of the first failed attempt since the last success. */
  failingSince: Date | null
} & SealedSecrets

type Lease = { holder: string; now: Date; until: Date }

/** The columns of endpoint `e`, with its relation `t` of `targets`. */
const leasedColumns = /* sql */ `
  e.id, e.account_id as "accountId", t.callback_url as url, e.headers, e.calls_per_second as "callsPerSecond",
  e.revision, e.failing_since as "failingSince",
  case when t.webhook_id is null then t.secret else e.secret end as secret,
  case when t.webhook_id is null then t.previous_secret else e.previous_secret end as "previousSecret",
  case when t.webhook_id is null then t.previous_secret_until else e.previous_secret_until end as "previousSecretUntil"`

/** The relation `t` with the webhook of an endpoint `f`, or the account's secrets of callbacks. */
const targets = /* sql */ `
  select f.id, w.id as webhook_id, w.callback_url, c.secret, c.previous_secret, c.previous_secret_until
    from endpoints f
    left join webhooks w on w.id = f.webhook_id
    left join callback_secrets c on c.account_id = f.account_id and f.webhook_id is null`

/** The condition that an endpoint and its account are enabled. A restored backup delivers nothing, because the original may have. */
const isEnabled = /* sql */ `
           disabled_at is null and not exists (select from installation where sending_paused)
       and not exists (select from accounts a where a.id = account_id and a.disabled_at is not null)`

/** The condition that an endpoint has a due delivery and nobody has leased it. */
const isWaiting = (now: Sql) => sql`
           next_due_at <= ${now} and (leased_until is null or leased_until <= ${now})
       and (paused_until is null or paused_until <= ${now}) and ${raw(isEnabled)}`

/**
 * Leases up to `limit` endpoints with due deliveries that nobody has leased, those that have waited longest first, and none
 * of the `except` accounts.
 */
export function leaseEndpoints(db: Db, lease: Lease, limit: number, except: number[]) {
  const now = param(lease.now)
  return db.many<LeasedEndpoint>(
    'lease_endpoints',
    sql`
    with due as (
      select id from endpoints
       where ${isWaiting(now)} and account_id <> all(${except}::bigint[])
       order by next_due_at limit ${limit} for update skip locked
    )
    update endpoints e set leased_by = ${lease.holder}, leased_until = ${lease.until}
      from (${raw(targets)} where f.id = any(array(select id from due))) t
     where e.id = t.id
    returning ${raw(leasedColumns)}`,
  )
}

/**
 * Returns the accounts of up to `limit` endpoints that `leaseEndpoints` could lease, once for each endpoint, in the order of their
 * turns: only of these accounts, or of all but these.
 */
export async function listWaitingAccounts(
  db: Db,
  now: Date,
  accounts: { only: number[] } | { except: number[] },
  limit: number,
): Promise<number[]> {
  const [ids, isOnly] = 'only' in accounts ? [accounts.only, true] : [accounts.except, false]
  const rows = await db.many<{ accountId: number }>(
    'list_waiting_accounts',
    sql`
    select account_id as "accountId" from endpoints
     where ${isWaiting(param(now))} and (account_id = any(${ids}::bigint[])) = ${isOnly}::boolean
     order by next_due_at limit ${limit}`,
  )
  return rows.map(({ accountId }) => accountId)
}

/**
 * Renews the leases of these endpoints and returns those that the holder still has and that are enabled, as their accounts are, with
 * their present URLs. Every statement that locks several endpoints locks them in the order of their ids, as the fan-out does.
 */
export function renewEndpointLeases(db: Db, { holder, now, until }: Lease, ids: number[]) {
  return db.many<LeasedEndpoint>(
    'renew_endpoint_leases',
    /* sql */ `
    with held as (
      select id from endpoints
       where id = any($4::bigint[]) and leased_by = $1 and leased_until > $2 and ${isEnabled}
       order by id for update
    )
    update endpoints e set leased_until = $3
      from (${targets} where f.id = any(array(select id from held))) t
     where e.id = t.id
    returning ${leasedColumns}`,
    [holder, now, until, ids],
  )
}

/**
 * Ends the lease of an endpoint, which gets no attempt until `pausedUntil`, also if new events are due before, unless the webhook was updated after this
 * revision. If deliveries are due, its next turn comes after those of the endpoints that wait. The endpoint is locked first,
 * because the statement after the lock sees the deliveries that the sequencer has committed in the meantime.
 */
export function releaseEndpoint(
  db: Db,
  holder: string,
  { id, revision, pausedUntil }: { id: number; revision: number; pausedUntil: Date | null },
  now: Date,
): Promise<void> {
  return db.tx(async (tx) => {
    await lockEndpoint(tx, id)
    await tx.exec(
      'release_endpoint',
      /* sql */ `
      update endpoints e
         set leased_by = null, leased_until = null, paused_until = case when revision = $4 then $3::timestamptz end,
             next_due_at = (select greatest(f.due_at, case when revision = $4 then $3::timestamptz end, $5::timestamptz)
                              from (select ${firstDueAt} as due_at) f where f.due_at is not null)
       where id = $1 and leased_by = $2`,
      [id, holder, pausedUntil, revision, now],
    )
  })
}
