import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { idParam } from '../http/path-params.ts'
import { Flag, Id, isSet, Time } from '../http/schema.ts'
import { formatTime } from '../http/times.ts'
import { isCallbackUrl } from '../lib/guarded-fetch.ts'
import type { Webhook, WebhookChange } from './webhooks.queries.ts'

const CallbackUrl = (description: string) => Type.String({ maxLength: 2_048, description })

const keys = {
  callback_url: Type.Optional(CallbackUrl('An http or https address, which may have a query.')),
  url: Type.Optional(CallbackUrl('Another name of callback_url.')),
  subscribe: Type.Optional(Flag('Tell when a number has subscribed.')),
  unsubscribe: Type.Optional(Flag('Tell when a subscriber leaves.')),
  message_sent: Type.Optional(Flag('Tell when a broadcast was sent.')),
  cleaned: Type.Optional(Flag('Tell when a dead number was taken off.')),
  reply_received: Type.Optional(Flag('Tell of replies.')),
}

/** The id of a webhook in a path. */
export const WebhookIdParam = idParam('Id of the webhook.', errors.webhookNotFound)

export const WebhookCreateBody = Type.Object({ webhook: Type.Object(keys) })
export const WebhookUpdateBody = Type.Object({
  webhook: Type.Object(keys, { description: 'Only the keys present change.' }),
})

/** A webhook on the wire; the contract prints its keys in the order of the alphabet. */
export const WebhookSchema = Type.Object(
  {
    callback_url: Type.String(),
    cleaned: Type.Boolean(),
    created_at: Time,
    enabled: Type.Boolean(),
    id: Id('Id of the webhook.'),
    list_id: Id('Id of the list.'),
    message_sent: Type.Boolean(),
    reply_received: Type.Boolean(),
    subscribe: Type.Boolean(),
    unsubscribe: Type.Boolean(),
    updated_at: Time,
  },
  { title: 'Webhook' },
)

export const WebhookResponse = Type.Object({ status: Type.Literal('OK'), webhook: WebhookSchema })
export const WebhookCreatedResponse = Type.Object({ status: Type.Literal('Webhook created'), webhook: WebhookSchema })
export const WebhookUpdatedResponse = Type.Object({ status: Type.Literal('Webhook updated'), webhook: WebhookSchema })
export const WebhookDestroyedResponse = Type.Object({ status: Type.Literal('Webhook destroyed') })

export function presentWebhook(webhook: Webhook, timeZone: string): Static<typeof WebhookSchema> {
  return {
    callback_url: webhook.callbackUrl,
    cleaned: webhook.cleaned,
    created_at: formatTime(webhook.createdAt, timeZone),
    enabled: webhook.enabled,
    id: webhook.id,
    list_id: webhook.listId,
    message_sent: webhook.messageSent,
    reply_received: webhook.replyReceived,
    subscribe: webhook.subscribe,
    unsubscribe: webhook.unsubscribe,
    updated_at: formatTime(webhook.updatedAt, timeZone),
  }
}

/** A new webhook: it needs an address. */
export function readNewWebhook(body: Static<typeof WebhookCreateBody>['webhook']): WebhookChange {
  const webhook = readWebhookChange(body)
  if (webhook.callbackUrl === undefined) throw errors.invalid({ 'webhook.callback_url': ["can't be blank"] })
  return webhook
}

/** What a body names. Where it names the address twice, `callback_url` is meant. */
export function readWebhookChange(body: Static<typeof WebhookUpdateBody>['webhook']): WebhookChange {
  const callbackUrl = body.callback_url ?? body.url
  if (callbackUrl !== undefined && !isCallbackUrl(callbackUrl)) {
    throw errors.invalid({ 'webhook.callback_url': ['must be an http or https address'] })
  }
  return {
    callbackUrl,
    subscribe: readFlag(body.subscribe),
    unsubscribe: readFlag(body.unsubscribe),
    messageSent: readFlag(body.message_sent),
    cleaned: readFlag(body.cleaned),
    replyReceived: readFlag(body.reply_received),
  }
}

function readFlag(given: Parameters<typeof isSet>[0]): boolean | undefined {
  return given === undefined ? undefined : isSet(given)
}
