import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { getCallbackSecret, getWebhookSecret, rotateCallbackSecret, rotateWebhookSecret } from './webhook-secrets.ts'
import {
  CallbackSecretBody,
  CallbackSecretResponse,
  presentWebhookSecret,
  WebhookIdParam,
  WebhookSecretBody,
  WebhookSecretResponse,
} from './webhooks.schema.ts'

const common = { tags: ['Webhooks'], 'x-extension': true }
const params = Type.Object({ list_id: ListIdParam, webhook_id: WebhookIdParam })
const notFound = errorResponse('No such webhook or list on this account.')
const unreadable = errorResponse('The secret was sealed with another key of the installation.')
const url = '/lists/:list_id/webhooks/:webhook_id/secret'
const config = { secrets: ['webhook_secret.secret'] }
const callbackConfig = { secrets: ['callback_secret.secret'] }

/** The routes of the secrets of webhooks and callbacks, which only keys of full scope may call. */
export const webhookSecretRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.addHook('preHandler', async (req) => {
    if (req.apiKey.scope !== 'full') throw errors.scopeTooNarrow()
  })

  app.get(
    url,
    {
      config,
      schema: {
        ...common,
        operationId: 'getWebhookSecret',
        summary: 'Get the secret of a webhook',
        description:
          'Each delivery is signed with it, as Standard Webhooks defines: `webhook-id`, `webhook-timestamp` and ' +
          '`webhook-signature`. A repeated delivery has the same `webhook-id`.',
        params,
        response: { 200: WebhookSecretResponse, 404: notFound, 422: unreadable, ...commonErrors },
      },
    },
    async (req) => {
      const { list_id, webhook_id } = req.params
      const secret = await getWebhookSecret(rt, req.account.id, list_id, webhook_id)
      return { status: 'OK' as const, webhook_secret: presentWebhookSecret(secret, req.account.timeZone) }
    },
  )

  app.put(
    url,
    {
      config,
      schema: {
        ...common,
        operationId: 'rotateWebhookSecret',
        summary: 'Replace the secret of a webhook',
        description:
          'Deliveries have signatures of both secrets until the time of the former one is over, so that a receiver can change ' +
          'its secret without rejecting an event.',
        params,
        body: WebhookSecretBody,
        response: {
          200: WebhookSecretResponse,
          404: notFound,
          422: errorResponse('The secret is malformed.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { list_id: listId, webhook_id: id } = req.params
      const { secret, previous_valid_hours: previousValidHours = 24 } = req.body.webhook_secret
      const rotated = await rotateWebhookSecret(rt, req.account.id, { listId, id }, { secret, previousValidHours })
      return { status: 'OK' as const, webhook_secret: presentWebhookSecret(rotated, req.account.timeZone) }
    },
  )

  app.get(
    '/callback_secret',
    {
      config: callbackConfig,
      schema: {
        ...common,
        operationId: 'getCallbackSecret',
        summary: 'Get the secret of callbacks',
        description:
          'Callbacks of transactional messages are signed with it, as Standard Webhooks defines. Without it, which is null, ' +
          'they are not signed.',
        response: { 200: CallbackSecretResponse, 422: unreadable, ...commonErrors },
      },
    },
    async (req) => {
      const secret = await getCallbackSecret(rt, req.account.id)
      return { status: 'OK' as const, callback_secret: presentWebhookSecret(secret, req.account.timeZone) }
    },
  )

  app.put(
    '/callback_secret',
    {
      config: callbackConfig,
      schema: {
        ...common,
        operationId: 'rotateCallbackSecret',
        summary: 'Set or replace the secret of callbacks',
        description: 'Callbacks have signatures of both secrets until the time of the former one is over.',
        body: CallbackSecretBody,
        response: { 200: CallbackSecretResponse, 422: errorResponse('The secret is malformed.'), ...commonErrors },
      },
    },
    async (req) => {
      const { secret, previous_valid_hours: previousValidHours = 24 } = req.body.callback_secret
      const rotated = await rotateCallbackSecret(rt, req.account.id, { secret, previousValidHours })
      return { status: 'OK' as const, callback_secret: presentWebhookSecret(rotated, req.account.timeZone) }
    },
  )
}
