import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { makeCallbackUrlCheck } from '../lib/callback-url.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import {
  presentWebhook,
  readWebhookChange,
  WebhookCreateBody,
  WebhookCreatedResponse,
  WebhookDestroyedResponse,
  WebhookIdParam,
  WebhookPage,
  WebhookResponse,
  WebhookUpdateBody,
  WebhookUpdatedResponse,
} from './webhooks.schema.ts'
import { changeWebhook, createWebhook, getWebhook, getWebhookPage, removeWebhook } from './webhooks.ts'

const tags = ['Webhooks']
const listParams = Type.Object({ list_id: ListIdParam })
const params = Type.Object({ list_id: ListIdParam, webhook_id: WebhookIdParam })
const noList = errorResponse('No such list on this account.')
const notFound = errorResponse('No such webhook or list on this account.')
const invalid = errorResponse(
  'The callback URL may not be called, a header may not be sent, or a flag is not a boolean.',
)

export const webhookRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  const faultOfUrl = makeCallbackUrlCheck(rt.config.allowPrivateUrls)

  app.get(
    '/lists/:list_id/webhooks',
    {
      schema: {
        operationId: 'listWebhooks',
        summary: 'List webhooks',
        description: 'Oldest first.',
        tags,
        params: listParams,
        querystring: PageQuery,
        response: { 200: WebhookPage, 404: noList, ...commonErrors },
      },
    },
    async (req) => {
      const page = pageFrom(req.query)
      const found = await getWebhookPage(rt.db, req.account.id, req.params.list_id, page)
      return presentPage('webhooks', page, found, (webhook) => presentWebhook(webhook, req.account.timeZone))
    },
  )

  app.post(
    '/lists/:list_id/webhooks',
    {
      schema: {
        operationId: 'createWebhook',
        summary: 'Create a webhook',
        description:
          'The URL must be http or https, without a user name, and not at a private address. Each call resolves its name and ' +
          'checks its addresses.',
        tags,
        params: listParams,
        body: WebhookCreateBody,
        response: { 201: WebhookCreatedResponse, 404: noList, 422: invalid, ...commonErrors },
      },
    },
    async (req, reply) => {
      const change = readWebhookChange(req.body.webhook, faultOfUrl)
      const webhook = await createWebhook(rt, req.account.id, req.params.list_id, change)
      reply.code(201)
      return { status: 'Webhook created' as const, webhook: presentWebhook(webhook, req.account.timeZone) }
    },
  )

  app.get(
    '/lists/:list_id/webhooks/:webhook_id',
    {
      schema: {
        operationId: 'getWebhook',
        summary: 'Get a webhook',
        description: 'The URL of the webhook and the events for which it is called.',
        tags,
        params,
        response: { 200: WebhookResponse, 404: notFound, ...commonErrors },
      },
    },
    async (req) => {
      const { list_id, webhook_id } = req.params
      const webhook = await getWebhook(rt.db, req.account.id, list_id, webhook_id)
      return { status: 'OK' as const, webhook: presentWebhook(webhook, req.account.timeZone) }
    },
  )

  // the vendor documents an update with PUT and prints its example with POST
  const updates = [
    { method: 'PUT', operationId: 'updateWebhook', summary: 'Update a webhook' },
    { method: 'POST', operationId: 'updateWebhookByPost', summary: 'Update a webhook, as the vendor prints it' },
  ] as const
  for (const { method, operationId, summary } of updates) {
    app.route({
      method,
      url: '/lists/:list_id/webhooks/:webhook_id',
      schema: {
        operationId,
        summary,
        description:
          'Only the keys in the request change. An update enables a webhook that was disabled after a 410 or five days of failures.',
        ...(method === 'POST' && { 'x-extension': true }),
        tags,
        params,
        body: WebhookUpdateBody,
        response: { 200: WebhookUpdatedResponse, 404: notFound, 422: invalid, ...commonErrors },
      },
      handler: async (req) => {
        const { list_id, webhook_id } = req.params
        const change = readWebhookChange(req.body.webhook, faultOfUrl)
        const webhook = await changeWebhook(rt, req.account.id, list_id, webhook_id, change)
        return { status: 'Webhook updated' as const, webhook: presentWebhook(webhook, req.account.timeZone) }
      },
    })
  }

  app.delete(
    '/lists/:list_id/webhooks/:webhook_id',
    {
      schema: {
        operationId: 'deleteWebhook',
        summary: 'Delete a webhook',
        description: 'The webhook is not called any more, and the events that wait for it are deleted.',
        tags,
        params,
        response: { 200: WebhookDestroyedResponse, 404: notFound, ...commonErrors },
      },
    },
    async (req) => {
      await removeWebhook(rt, req.account.id, req.params.list_id, req.params.webhook_id)
      return { status: 'Webhook destroyed' as const }
    },
  )
}
