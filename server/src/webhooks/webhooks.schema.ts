import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageSchema } from '../http/pagination.ts'
import { idParam } from '../http/path-params.ts'
import { Flag, Id, isSet, TextOrNull, Time, TimeOrNull, Whole, WholeOrNull } from '../http/schema.ts'
import { type CallbackUrlCheck, maxUrlLength } from '../lib/callback-url.ts'
import { formatTime } from '../lib/format-time.ts'
import { hiddenValue } from './delivery/hidden-values.ts'
import { forEachEvent, webhookEvents } from './webhook-events.ts'
import { readHeaders } from './webhook-headers.ts'
import type { WebhookSecret } from './webhook-secrets.ts'
import type { Webhook, WebhookChange } from './webhooks.queries.ts'

/** The id of a webhook in a path. */
export const WebhookIdParam = idParam('Id of the webhook.', errors.webhookNotFound)

const CallbackUrl = (description: string) => Type.String({ maxLength: maxUrlLength, description })

const CallsPerSecond = WholeOrNull(1, 1_000, 'Maximum number of calls per second; null without a limit.')

const keys = {
  callback_url: Type.Optional(CallbackUrl('An http or https URL; a query string is allowed.')),
  url: Type.Optional(Type.Unsafe<string>({ ...CallbackUrl('Another name for callback_url.'), documented: false })),
  headers: Type.Optional(
    Type.Unsafe<Record<string, string> | null>({
      type: ['object', 'null'],
      additionalProperties: { type: 'string' },
      description:
        'Headers that each call has in addition, such as Authorization; they replace all former ones. The value [hidden] ' +
        'keeps the stored one.',
      'x-extension': true,
    }),
  ),
  calls_per_second: Type.Optional(Type.Unsafe<number | null>({ ...CallsPerSecond, 'x-extension': true })),
  enabled: Type.Optional(
    Type.Unsafe<Static<ReturnType<typeof Flag>>>({
      ...Flag('False stops the calls; events are kept, and arrive when it is true again.'),
      'x-extension': true,
    }),
  ),
  ...forEachEvent((event) => Type.Optional(Flag(`Whether this event is reported: ${webhookEvents[event]}`))),
}

export const WebhookCreateBody = Type.Object({ webhook: Type.Object(keys, { title: 'WebhookCreation' }) })
export const WebhookUpdateBody = Type.Object({
  webhook: Type.Object(keys, { title: 'WebhookChange', description: 'Only the keys in the request change.' }),
})

/** Returns the keys in alphabetical order, as in the contract. */
function inAlphabeticalOrder<T extends object>(webhook: T): T {
  return Object.fromEntries(Object.entries(webhook).sort(([a], [b]) => (a < b ? -1 : 1))) as T
}

export const WebhookSchema = Type.Object(
  inAlphabeticalOrder({
    callback_url: Type.String(),
    calls_per_second: Type.Unsafe<number | null>({ ...CallsPerSecond, 'x-extension': true }),
    headers: Type.Unsafe<Record<string, string>>({
      type: 'object',
      additionalProperties: { type: 'string' },
      description: 'The names of the headers that each call has in addition; the values are always [hidden].',
      'x-extension': true,
    }),
    created_at: Time,
    enabled: Type.Boolean(),
    id: Id('Id of the webhook.'),
    list_id: Id('Id of the list.'),
    updated_at: Time,
    ...forEachEvent(() => Type.Boolean()),
  }),
  { title: 'Webhook' },
)

export const WebhookPage = pageSchema('webhooks', WebhookSchema)
export const WebhookResponse = Type.Object({ status: Type.Literal('OK'), webhook: WebhookSchema })
export const WebhookCreatedResponse = Type.Object({ status: Type.Literal('Webhook created'), webhook: WebhookSchema })
export const WebhookUpdatedResponse = Type.Object({ status: Type.Literal('Webhook updated'), webhook: WebhookSchema })
export const WebhookDestroyedResponse = Type.Object({ status: Type.Literal('Webhook destroyed') })

/** Returns a webhook as the API presents it. */
export function presentWebhook(webhook: Webhook, timeZone: string): Static<typeof WebhookSchema> {
  return inAlphabeticalOrder({
    callback_url: webhook.callbackUrl,
    calls_per_second: webhook.callsPerSecond,
    headers: Object.fromEntries(webhook.headerNames.map((name) => [name, hiddenValue])),
    created_at: formatTime(webhook.createdAt, timeZone),
    enabled: webhook.enabled,
    id: webhook.id,
    list_id: webhook.listId,
    updated_at: formatTime(webhook.updatedAt, timeZone),
    ...webhook.events,
  })
}

/** Returns the change of a body, in which `callback_url` takes precedence over `url`; throws a 422 for an invalid value. */
export function readWebhookChange(
  body: Static<typeof WebhookUpdateBody>['webhook'],
  faultOf: CallbackUrlCheck,
): WebhookChange {
  const callbackUrl = body.callback_url ?? body.url
  const fault = callbackUrl === undefined ? undefined : faultOf(callbackUrl)
  if (fault !== undefined) throw errors.invalid({ 'webhook.callback_url': [fault] })
  const events = forEachEvent((event) => {
    const flag = body[event]
    return flag === undefined ? undefined : isSet(flag)
  })
  return {
    callbackUrl,
    events: events as WebhookChange['events'],
    headers: body.headers === undefined ? undefined : readHeaders(body.headers ?? {}),
    callsPerSecond: body.calls_per_second,
    enabled: body.enabled === undefined ? undefined : isSet(body.enabled),
  }
}

const WebhookSecretChangeSchema = Type.Object(
  {
    secret: Type.Optional(
      Type.String({
        maxLength: 100,
        description: '`whsec_` and 24 to 64 bytes in base64; without it, a new secret.',
      }),
    ),
    previous_valid_hours: Type.Optional(Whole(0, 168, 'Hours for which the former secret also signs; 24 by default.')),
  },
  { title: 'WebhookSecretChange' },
)

export const WebhookSecretBody = Type.Object({ webhook_secret: WebhookSecretChangeSchema })
export const CallbackSecretBody = Type.Object({ callback_secret: WebhookSecretChangeSchema })

const WebhookSecretSchema = Type.Object(
  {
    secret: TextOrNull({
      description:
        'Null if deliveries are not signed: the installation has no secret key, or no secret of callbacks was set.',
    }),
    previous_valid_until: TimeOrNull,
  },
  { title: 'WebhookSecret' },
)

export const WebhookSecretResponse = Type.Object({ status: Type.Literal('OK'), webhook_secret: WebhookSecretSchema })
export const CallbackSecretResponse = Type.Object({ status: Type.Literal('OK'), callback_secret: WebhookSecretSchema })

export function presentWebhookSecret(
  { secret, previousValidUntil }: WebhookSecret,
  timeZone: string,
): Static<typeof WebhookSecretSchema> {
  return { secret, previous_valid_until: formatTime(previousValidUntil, timeZone) }
}
