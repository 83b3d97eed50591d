import type { Db } from '../db/db.ts'

/** The events of a list that a webhook can be told of, as their columns are called. */
export type Flags = {
  subscribe: boolean
  unsubscribe: boolean
  messageSent: boolean
  cleaned: boolean
  replyReceived: boolean
}

export type Webhook = Flags & {
  id: number
  listId: number
  callbackUrl: string
  enabled: boolean
  createdAt: Date
  updatedAt: Date
}

/** An undefined key stays as it is; on a new webhook it is false. */
export type WebhookChange = { callbackUrl: string | undefined } & { [Flag in keyof Flags]: boolean | undefined }

const webhookColumns = /* sql */ `
  id, list_id as "listId", callback_url as "callbackUrl", subscribe, unsubscribe, message_sent as "messageSent",
  cleaned, reply_received as "replyReceived", enabled, created_at as "createdAt", updated_at as "updatedAt"`

export function findWebhook(db: Db, listId: number, id: number) {
  return db.maybeOne<Webhook>(
    'find_webhook',
    /* sql */ `select ${webhookColumns} from webhooks where id = $1 and list_id = $2`,
    [id, listId],
  )
}

/** A page of the list's webhooks, oldest first. */
export function listWebhooks(db: Db, listId: number, page: { offset: number; perPage: number }) {
  return db.many<Webhook>(
    'list_webhooks',
    /* sql */ `select ${webhookColumns} from webhooks where list_id = $1 order by id offset $2 limit $3`,
    [listId, page.offset, page.perPage],
  )
}

export async function countWebhooks(db: Db, listId: number): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_webhooks',
    /* sql */ `select count(*) as n from webhooks where list_id = $1`,
    [listId],
  )
  return n
}

export function insertWebhook(db: Db, listId: number, webhook: WebhookChange, now: Date) {
  return db.one<Webhook>(
    'insert_webhook',
    /* sql */ `
    insert into webhooks (list_id, callback_url, subscribe, unsubscribe, message_sent, cleaned, reply_received,
                          created_at, updated_at)
    values ($1, $2, coalesce($3, false), coalesce($4, false), coalesce($5, false), coalesce($6, false),
            coalesce($7, false), $8, $8)
    returning ${webhookColumns}`,
    [listId, ...values(webhook), now],
  )
}

/** Writes what the change names, in one statement, so that two changes at once both count; undefined when it is gone. */
export function updateWebhook(db: Db, listId: number, id: number, change: WebhookChange, now: Date) {
  return db.maybeOne<Webhook>(
    'update_webhook',
    /* sql */ `
    update webhooks
       set callback_url = coalesce($2, callback_url), subscribe = coalesce($3, subscribe),
           unsubscribe = coalesce($4, unsubscribe), message_sent = coalesce($5, message_sent),
           cleaned = coalesce($6, cleaned), reply_received = coalesce($7, reply_received), updated_at = $8
     where list_id = $1 and id = $9
    returning ${webhookColumns}`,
    [listId, ...values(change), now, id],
  )
}

/** Says how many webhooks that were: one or none. */
export function deleteWebhook(db: Db, listId: number, id: number) {
  return db.exec('delete_webhook', /* sql */ `delete from webhooks where id = $1 and list_id = $2`, [id, listId])
}

function values(change: WebhookChange): unknown[] {
  return [
    change.callbackUrl ?? null,
    change.subscribe ?? null,
    change.unsubscribe ?? null,
    change.messageSent ?? null,
    change.cleaned ?? null,
    change.replyReceived ?? null,
  ]
}
