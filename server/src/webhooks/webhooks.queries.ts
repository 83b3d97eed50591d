import type { Db } from '../db/db.ts'
import type { PageBounds } from '../lib/paging.ts'
import { type WebhookEvent, webhookEventNames } from './webhook-events.ts'

export type Webhook = {
  id: number
  listId: number
  callbackUrl: string
  /** Which events the webhook is called for. */
  events: Record<WebhookEvent, boolean>
  enabled: boolean
  createdAt: Date
  updatedAt: Date
}

/** What a request names; undefined keys and absent events stay as they are, or are false on a new webhook. */
export type WebhookChange = { callbackUrl: string | undefined; events: Partial<Record<WebhookEvent, boolean>> }

const eventColumns = webhookEventNames.join(', ')

const webhookColumns = /* sql */ `
  id, list_id as "listId", callback_url as "callbackUrl", enabled, created_at as "createdAt",
  updated_at as "updatedAt",
  json_build_object(${webhookEventNames.map((event) => `'${event}', ${event}`).join(', ')}) as events`

/** The list's webhook of this id, or undefined. */
export function findWebhook(db: Db, listId: number, id: number) {
  return db.maybeOne<Webhook>(
    'find_webhook',
    /* sql */ `select ${webhookColumns} from webhooks where id = $1 and list_id = $2`,
    [id, listId],
  )
}

/** A page of the list's webhooks, oldest first. */
export function listWebhooks(db: Db, listId: number, page: PageBounds) {
  return db.many<Webhook>(
    'list_webhooks',
    /* sql */ `select ${webhookColumns} from webhooks where list_id = $1 order by id offset $2 limit $3`,
    [listId, page.offset, page.perPage],
  )
}

/** The number of the list's webhooks. */
export async function countWebhooks(db: Db, listId: number): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_webhooks',
    /* sql */ `select count(*) as n from webhooks where list_id = $1`,
    [listId],
  )
  return n
}

/** Writes a webhook and returns it. */
export function insertWebhook(db: Db, listId: number, { callbackUrl, events }: WebhookChange, now: Date) {
  const flags = webhookEventNames.map((event) => `coalesce(($3::jsonb ->> '${event}')::boolean, false)`).join(', ')
  return db.one<Webhook>(
    'insert_webhook',
    /* sql */ `
    insert into webhooks (list_id, callback_url, created_at, updated_at, ${eventColumns})
    values ($1, $2, $4, $4, ${flags})
    returning ${webhookColumns}`,
    [listId, callbackUrl, JSON.stringify(events), now],
  )
}

/** Writes what the change names, in one statement, so that two changes at once both count; undefined when it is gone. */
export function updateWebhook(db: Db, listId: number, id: number, { callbackUrl, events }: WebhookChange, now: Date) {
  const flags = webhookEventNames.map((event) => `${event} = coalesce(($4::jsonb ->> '${event}')::boolean, ${event})`)
  return db.maybeOne<Webhook>(
    'update_webhook',
    /* sql */ `
    update webhooks
       set callback_url = coalesce($3, callback_url), updated_at = $5, ${flags.join(', ')}
     where list_id = $1 and id = $2
    returning ${webhookColumns}`,
    [listId, id, callbackUrl ?? null, JSON.stringify(events), now],
  )
}

/** Deletes a webhook; returns how many rows that were: one or none. */
export function deleteWebhook(db: Db, listId: number, id: number) {
  return db.exec('delete_webhook', /* sql */ `delete from webhooks where id = $1 and list_id = $2`, [id, listId])
}
