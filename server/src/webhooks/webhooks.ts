import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { type Page, type PageOf, pageOf } from '../lib/paging.ts'
import { getList } from '../lists/lists.ts'
import type { Runtime } from '../runtime.ts'
import {
  countWebhooks,
  deleteWebhook,
  findWebhook,
  insertWebhook,
  listWebhooks,
  updateWebhook,
  type Webhook,
  type WebhookChange,
} from './webhooks.queries.ts'

type Rt = Pick<Runtime, 'db' | 'clock'>

/** A page of the webhooks of the account's list, oldest first; throws when there is no such list. */
export async function getWebhookPage(db: Db, accountId: number, listId: number, page: Page): Promise<PageOf<Webhook>> {
  await getList(db, accountId, listId)
  return pageOf(countWebhooks(db, listId), listWebhooks(db, listId, page))
}

/** The webhook of this id; throws when the account has no such list or the list no such webhook. */
export async function getWebhook(db: Db, accountId: number, listId: number, id: number): Promise<Webhook> {
  await getList(db, accountId, listId)
  return existing(await findWebhook(db, listId, id))
}

/** Creates a webhook of the account's list; throws when it has no address, or there is no such list. */
export async function createWebhook(rt: Rt, accountId: number, listId: number, webhook: WebhookChange) {
  await getList(rt.db, accountId, listId)
  if (webhook.callbackUrl === undefined) throw errors.invalid({ 'webhook.callback_url': ["can't be blank"] })
  return insertWebhook(rt.db, listId, webhook, rt.clock.now())
}

/** Changes what the change names and returns the webhook; throws as `getWebhook` does. */
export async function changeWebhook(
  rt: Rt,
  accountId: number,
  listId: number,
  id: number,
  change: WebhookChange,
): Promise<Webhook> {
  await getList(rt.db, accountId, listId)
  return existing(await updateWebhook(rt.db, listId, id, change, rt.clock.now()))
}

/** Deletes a webhook; throws as `getWebhook` does. */
export async function removeWebhook(db: Db, accountId: number, listId: number, id: number): Promise<void> {
  await getList(db, accountId, listId)
  if ((await deleteWebhook(db, listId, id)) === 0) throw errors.webhookNotFound()
}

function existing(webhook: Webhook | undefined): Webhook {
  if (!webhook) throw errors.webhookNotFound()
  return webhook
}
