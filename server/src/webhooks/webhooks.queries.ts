import type { Db } from '../db/db.ts'
import { assignmentsOf, columnsOf, param, raw, sql, valuesOf } from '../db/sql.ts'
import { listEvents, listEventTypes } from '../events/event-types.ts'
import type { PageBounds } from '../lib/paging.ts'
import type { CustomHeaders } from './delivery/custom-headers.ts'
import { type WebhookEvent, webhookEventNames } from './webhook-events.ts'

export type Webhook = {
  id: number
  listId: number
  callbackUrl: string
  /** Whether the webhook is called for each event. */
  events: Record<WebhookEvent, boolean>
  enabled: boolean
  /** Names of the headers that its deliveries have in addition. */
  headerNames: string[]
  callsPerSecond: number | null
  createdAt: Date
  updatedAt: Date
}

/** A change of a webhook; undefined keys and absent events do not change, or are absent or false for a new webhook. */
export type WebhookChange = {
  callbackUrl: string | undefined
  events: Partial<Record<WebhookEvent, boolean>>
  enabled?: boolean | undefined
  headers?: CustomHeaders | undefined
  callsPerSecond?: number | null | undefined
}

const webhookColumns = /* sql */ `
  id, list_id as "listId", callback_url as "callbackUrl",
  not exists (select from endpoints e where e.webhook_id = webhooks.id and e.disabled_at is not null) as enabled,
  (select header_names from endpoints e where e.webhook_id = webhooks.id) as "headerNames",
  (select calls_per_second from endpoints e where e.webhook_id = webhooks.id) as "callsPerSecond",
  created_at as "createdAt",
  updated_at as "updatedAt",
  json_build_object(${webhookEventNames.map((event) => `'${event}', ${event}`).join(', ')}) as events`

/** Returns the list's webhook with this id, or undefined. */
export function findWebhook(db: Db, listId: number, id: number) {
  return db.maybeOne<Webhook>(
    'find_webhook',
    /* sql */ `select ${webhookColumns} from webhooks where id = $1 and list_id = $2 and deleted_at is null`,
    [id, listId],
  )
}

/** Returns a page of the list's webhooks, oldest first. */
export function listWebhooks(db: Db, listId: number, page: PageBounds) {
  return db.many<Webhook>(
    'list_webhooks',
    /* sql */ `select ${webhookColumns} from webhooks where list_id = $1 and deleted_at is null order by id offset $2 limit $3`,
    [listId, page.offset, page.perPage],
  )
}

/** Returns the number of the list's webhooks. */
export async function countWebhooks(db: Db, listId: number): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_webhooks',
    /* sql */ `select count(*) as n from webhooks where list_id = $1 and deleted_at is null`,
    [listId],
  )
  return n
}

/** Inserts a webhook and returns its id. */
export function insertWebhook(db: Db, listId: number, { callbackUrl, events }: WebhookChange, now: Date) {
  const at = param(now)
  const flags = Object.fromEntries(webhookEventNames.map((event) => [event, events[event] ?? false]))
  const row = { list_id: listId, callback_url: callbackUrl, created_at: at, updated_at: at, ...flags }
  return db.one<{ id: number }>(
    'insert_webhook',
    sql`insert into webhooks (${columnsOf(row)}) values (${valuesOf(row)}) returning id`,
  )
}

/** Applies a change in one statement, so that concurrent changes of other keys are not lost; undefined if it does not exist. */
export function updateWebhook(db: Db, listId: number, id: number, { callbackUrl, events }: WebhookChange, now: Date) {
  const flags = Object.fromEntries(
    webhookEventNames.map((event) => [event, sql`coalesce(${events[event] ?? null}, ${raw(event)})`]),
  )
  const row = { callback_url: sql`coalesce(${callbackUrl ?? null}, callback_url)`, updated_at: now, ...flags }
  return db.maybeOne<Webhook>(
    'update_webhook',
    sql`
    update webhooks set ${assignmentsOf(row)}
     where list_id = ${listId} and id = ${id} and deleted_at is null
    returning ${raw(webhookColumns)}`,
  )
}

/**
 * Marks a webhook as deleted and ends the lease of its endpoint, which is not leased again; returns 1, or 0 if it does not exist. The job
 * `webhooks.delete` deletes its rows.
 */
export function markWebhookDeleted(tx: Db, listId: number, id: number, now: Date) {
  return tx.exec(
    'mark_webhook_deleted',
    /* sql */ `
    with ended as (
      update endpoints
         set disabled_at = coalesce(disabled_at, $3), disabled_reason = 'deleted', leased_by = null, leased_until = null
       where webhook_id = (select id from webhooks where id = $1 and list_id = $2 and deleted_at is null)
    )
    update webhooks set deleted_at = $3 where id = $1 and list_id = $2 and deleted_at is null`,
    [id, listId, now],
  )
}

/** Sets the bits of the types of events that the list's webhooks receive; the caller must have locked the list. */
export function updateListeners(tx: Db, listId: number) {
  const bits = listEventTypes.map((type) => `${listEvents[type].flag}::int * ${listEvents[type].bit}`).join(' + ')
  return tx.exec(
    'update_listeners',
    /* sql */ `
    update lists
       set listeners = coalesce((select bit_or(${bits}) from webhooks where list_id = $1 and deleted_at is null), 0)
     where id = $1`,
    [listId],
  )
}
