import type { Db } from '../../db/db.ts'
import { sql } from '../../db/sql.ts'
import { assignSecrets, type SealedSecrets, secretColumns } from './sealed-secrets.sql.ts'

/** When the first delivery of endpoint `e` is due; each part reads the first row of an index. */
export const firstDueAt = /* sql */ `
  least((select min(d.due_at) from deliveries d where d.endpoint_id = e.id and not d.is_behind and not d.is_replay),
        (select min(d.due_at) from deliveries d where d.endpoint_id = e.id and not d.is_behind and d.is_replay))`

/** What deliveries to an endpoint have and obey in addition: sealed headers, their names, and a limit of calls. */
export type EndpointSettings = {
  headers: Buffer | null
  headerNames: string[]
  callsPerSecond: number | null
}

export const defaultEndpointSettings: EndpointSettings = { headers: null, headerNames: [], callsPerSecond: null }

/** Inserts the endpoint of a webhook; without a sealed secret, its deliveries are not signed. */
export function insertEndpoint(
  tx: Db,
  { accountId, webhookId, secret }: { accountId: number; webhookId: number; secret: Buffer | null },
  { headers, headerNames, callsPerSecond }: EndpointSettings = defaultEndpointSettings,
) {
  return tx.exec(
    'insert_endpoint',
    /* sql */ `
    insert into endpoints (account_id, webhook_id, secret, headers, header_names, calls_per_second)
    values ($1, $2, $3, $4, $5, $6)`,
    [accountId, webhookId, secret, headers, headerNames, callsPerSecond],
  )
}

/** Returns the settings of the endpoint of a webhook, which stay as they are until the transaction ends. */
export function lockEndpointSettings(tx: Db, webhookId: number) {
  return tx.one<EndpointSettings>(
    'lock_endpoint_settings',
    /* sql */ `
    select headers, header_names as "headerNames", calls_per_second as "callsPerSecond"
      from endpoints where webhook_id = $1 for update`,
    [webhookId],
  )
}

/** Replaces the settings of the endpoint of a webhook. */
export function updateEndpointSettings(
  tx: Db,
  webhookId: number,
  { headers, headerNames, callsPerSecond }: EndpointSettings,
) {
  return tx.exec(
    'update_endpoint_settings',
    /* sql */ `update endpoints set headers = $2, header_names = $3, calls_per_second = $4 where webhook_id = $1`,
    [webhookId, headers, headerNames, callsPerSecond],
  )
}

/** Returns the sealed secrets of a webhook. */
export function findSecrets(db: Db, webhookId: number) {
  return db.one<SealedSecrets>(
    'find_secrets',
    /* sql */ `select ${secretColumns} from endpoints e where e.webhook_id = $1`,
    [webhookId],
  )
}

/** Returns the sealed secrets of a webhook, which stay as they are until the transaction ends. */
export function lockSecrets(tx: Db, webhookId: number) {
  return tx.one<SealedSecrets>(
    'lock_secrets',
    /* sql */ `select ${secretColumns} from endpoints e where e.webhook_id = $1 for update`,
    [webhookId],
  )
}

/** Replaces the secrets of a webhook. */
export function replaceSecrets(tx: Db, webhookId: number, secrets: SealedSecrets) {
  return tx.exec('replace_secrets', sql`update endpoints set ${assignSecrets(secrets)} where webhook_id = ${webhookId}`)
}

/**
 * Ends the pauses of the endpoint of a webhook, or of those of the account's callbacks, also one of which only its worker knows yet; they are
 * looked at when a delivery waits.
 */
export function endPauses(tx: Db, of: { webhookId: number } | { callbacksOf: number }, now: Date) {
  const ofWebhook = 'webhookId' in of
  const which = ofWebhook
    ? sql`webhook_id = ${of.webhookId}`
    : sql`account_id = ${of.callbacksOf} and webhook_id is null`
  return tx.exec(
    ofWebhook ? 'end_pause_of_webhook' : 'end_pauses_of_callbacks',
    sql`
    with held as (select id from endpoints where ${which} order by id for update)
    update endpoints
       set paused_until = null, revision = revision + 1,
           next_due_at = case when next_due_at is not null then least(next_due_at, ${now}::timestamptz) end
     where id = any(array(select id from held))`,
  )
}

/** Locks an endpoint until the end of the transaction; statements after it see what others have queued for it. */
export function lockEndpoint(tx: Db, id: number) {
  return tx.exec('lock_endpoint', /* sql */ `select from endpoints where id = $1 for update`, [id])
}

/** The notice of the endpoints in `disabled`, which is committed with the change if the account's feed is on. */
const notice = /* sql */ `
  insert into event_outbox (account_id, list_id, type, occurred_at, time_zone, facts)
  select d.account_id, w.list_id, 'webhook_disabled', d.disabled_at, a.time_zone,
         jsonb_build_object('webhookId', w.id, 'reason', d.disabled_reason, 'failingSince', d.failing_since)
    from disabled d join webhooks w on w.id = d.webhook_id join accounts a on a.id = d.account_id
   where a.event_feed`

/**
 * Disables the endpoint of a webhook that is gone; its deliveries are kept. Returns false if it was disabled already, or if
 * the webhook was updated after this revision, perhaps with another URL.
 */
export async function disableGone(
  db: Db,
  { id, revision }: { id: number; revision: number },
  at: Date,
): Promise<boolean> {
  const disabled = await db.many(
    'disable_gone_endpoint',
    /* sql */ `
    with disabled as (
      update endpoints set disabled_at = $2, disabled_reason = 'gone'
       where id = $1 and webhook_id is not null and disabled_at is null and revision = $3
      returning *
    ), noticed as (${notice})
    select from disabled`,
    [id, at, revision],
  )
  return disabled.length > 0
}

/**
 * Disables the enabled endpoints of webhooks that have failed since a time or longer, and returns their ids. The last failed
 * attempt must be that much later than the first one: an endpoint with few events is not disabled while it gets none.
 */
export async function disableFailing(db: Db, since: Date, now: Date): Promise<number[]> {
  const rows = await db.many<{ id: number }>(
    'disable_failing',
    /* sql */ `
    with failing as (
      select id from endpoints e
       where failing_since <= $1 and webhook_id is not null and disabled_at is null
         and (select max(started_at) from delivery_attempts where endpoint_id = e.id)
             >= failing_since + ($2::timestamptz - $1::timestamptz)
       order by id for update
    ), disabled as (
      update endpoints set disabled_at = $2, disabled_reason = 'failing' where id = any(array(select id from failing))
      returning *
    ), noticed as (${notice})
    select id from disabled`,
    [since, now],
  )
  return rows.map(({ id }) => id)
}

/**
 * Enables the endpoint of a webhook again and ends its pause; the deliveries that it has not received are due. Attempts that are
 * in progress neither pause nor disable it. With a new URL, its failures are forgotten. One that its owner has disabled stays disabled
 * unless `isRequested`.
 */
export async function enableEndpoint(
  tx: Db,
  webhookId: number,
  { hasNewUrl, isRequested }: { hasNewUrl: boolean; isRequested: boolean },
): Promise<void> {
  // a fan-out that has the row inserts deliveries, which the second statement must see
  await tx.exec('lock_endpoint_of_webhook', /* sql */ `select from endpoints where webhook_id = $1 for update`, [
    webhookId,
  ])
  await tx.exec(
    'enable_endpoint',
    /* sql */ `
    update endpoints e
       set disabled_at = case when disabled_reason = 'requested' and not $3 then disabled_at end,
           disabled_reason = case when disabled_reason = 'requested' and not $3 then disabled_reason end,
           paused_until = null, revision = revision + 1,
           failing_since = case when disabled_at is null and not $2 then failing_since end,
           next_due_at = ${firstDueAt}
     where webhook_id = $1`,
    [webhookId, hasNewUrl, isRequested],
  )
}

/** Disables the endpoint of a webhook for its owner, and ends its lease; its deliveries are kept. */
export function disableRequested(tx: Db, webhookId: number, at: Date) {
  return tx.exec(
    'disable_requested',
    /* sql */ `
    update endpoints
       set disabled_at = coalesce(disabled_at, $2), disabled_reason = 'requested', leased_by = null, leased_until = null
     where webhook_id = $1`,
    [webhookId, at],
  )
}
