import { rejectAtCap } from '../accounts/caps.ts'
import { makeSealer, secretKeyHint } from '../connections/secrets.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { type Page, type PageOf, pageOf } from '../lib/paging.ts'
import type { Sealer } from '../lib/seal.ts'
import { getList, lockList } from '../lists/lists.ts'
import type { Runtime } from '../runtime.ts'
import { sealHeaders } from './delivery/custom-headers.ts'
import {
  defaultEndpointSettings,
  disableRequested,
  type EndpointSettings,
  enableEndpoint,
  insertEndpoint,
  lockEndpointSettings,
  updateEndpointSettings,
} from './delivery/endpoints.queries.ts'
import { makeSealedSecret } from './delivery/secrets.ts'
import { keepHidden } from './webhook-headers.ts'
import {
  countWebhooks,
  findWebhook,
  insertWebhook,
  listWebhooks,
  markWebhookDeleted,
  updateListeners,
  updateWebhook,
  type Webhook,
  type WebhookChange,
} from './webhooks.queries.ts'

type Rt = Pick<Runtime, 'db' | 'clock' | 'config'>

/** Returns a page of the webhooks of the account's list, oldest first; throws a 404 if the list does not exist. */
export async function getWebhookPage(db: Db, accountId: number, listId: number, page: Page): Promise<PageOf<Webhook>> {
  await getList(db, accountId, listId)
  return pageOf(countWebhooks(db, listId), listWebhooks(db, listId, page))
}

/** Returns the webhook with this id; throws a 404 if the account has no such list, or the list has no such webhook. */
export async function getWebhook(db: Db, accountId: number, listId: number, id: number): Promise<Webhook> {
  await getList(db, accountId, listId)
  return existing(await findWebhook(db, listId, id))
}

/** Creates a webhook of the account's list; throws a 404 if the list does not exist, and a 422 if there is no URL. */
export async function createWebhook(rt: Rt, accountId: number, listId: number, webhook: WebhookChange) {
  if (webhook.callbackUrl === undefined) {
    await getList(rt.db, accountId, listId)
    throw errors.invalid({ 'webhook.callback_url': ["can't be blank"] })
  }
  return withListeners(rt.db, accountId, listId, async (tx) => {
    await rejectAtCap(tx, rt, { name: 'webhooks', accountId }, () => countWebhooks(tx, listId))
    const { id } = await insertWebhook(tx, listId, webhook, rt.clock.now())
    const sealer = makeSealer(rt.config)
    const secret = sealer ? makeSealedSecret(sealer) : null
    const settings = settingsOf(webhook, sealer, defaultEndpointSettings)
    await insertEndpoint(tx, { accountId, webhookId: id, secret }, settings)
    if (webhook.enabled === false) await disableRequested(tx, id, rt.clock.now())
    return existing(await findWebhook(tx, listId, id))
  })
}

/** Applies a change and returns the webhook; throws the errors of `getWebhook`. */
export async function changeWebhook(
  rt: Rt,
  accountId: number,
  listId: number,
  id: number,
  change: WebhookChange,
): Promise<Webhook> {
  return withListeners(rt.db, accountId, listId, async (tx) => {
    const { callbackUrl } = existing(await findWebhook(tx, listId, id))
    const hasNewUrl = change.callbackUrl !== undefined && change.callbackUrl !== callbackUrl
    await enableEndpoint(tx, id, { hasNewUrl, isRequested: change.enabled === true })
    if (change.enabled === false) await disableRequested(tx, id, rt.clock.now())
    if (change.headers !== undefined || change.callsPerSecond !== undefined) {
      const settings = settingsOf(change, makeSealer(rt.config), await lockEndpointSettings(tx, id))
      await updateEndpointSettings(tx, id, settings)
    }
    return existing(await updateWebhook(tx, listId, id, change, rt.clock.now()))
  })
}

/** Returns the stored settings with a change; throws a 422 if a value of a header cannot be kept or stored. */
function settingsOf(
  { headers: given, callsPerSecond: calls }: WebhookChange,
  sealer: Sealer | undefined,
  stored: EndpointSettings,
): EndpointSettings {
  const callsPerSecond = calls === undefined ? stored.callsPerSecond : calls
  if (given === undefined) return { ...stored, callsPerSecond }
  const headers = keepHidden(given, sealer, stored.headers)
  if (headers.length > 0 && !sealer) throw errors.noSecretKey(secretKeyHint)
  return {
    headers: sealer ? sealHeaders(sealer, headers) : null,
    headerNames: headers.map(([name]) => name),
    callsPerSecond,
  }
}

/** Deletes a webhook, of which a job deletes what waits for it; throws the errors of `getWebhook`. */
export async function removeWebhook(rt: Rt, accountId: number, listId: number, id: number): Promise<void> {
  await withListeners(rt.db, accountId, listId, async (tx) => {
    if ((await markWebhookDeleted(tx, listId, id, rt.clock.now())) === 0) throw errors.webhookNotFound()
  })
}

/**
 * Changes webhooks of the list and updates the types of events that it reports. The lock on the list makes concurrent
 * changes wait, because each computes the types from the webhooks that it sees.
 */
function withListeners<T>(db: Db, accountId: number, listId: number, change: (tx: Db) => Promise<T>): Promise<T> {
  return db.tx(async (tx) => {
    await lockList(tx, accountId, listId)
    const result = await change(tx)
    await updateListeners(tx, listId)
    return result
  })
}

function existing(webhook: Webhook | undefined): Webhook {
  if (!webhook) throw errors.webhookNotFound()
  return webhook
}
