import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { envelope, pageFrom, pageQuery, pageSchema } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { getList } from '../lists/lists.ts'
import {
  countWebhooks,
  deleteWebhook,
  findWebhook,
  insertWebhook,
  listWebhooks,
  updateWebhook,
} from './webhooks.queries.ts'
import {
  presentWebhook,
  readNewWebhook,
  readWebhookChange,
  WebhookCreateBody,
  WebhookCreatedResponse,
  WebhookDestroyedResponse,
  WebhookIdParam,
  WebhookResponse,
  WebhookSchema,
  WebhookUpdateBody,
  WebhookUpdatedResponse,
} from './webhooks.schema.ts'

const tags = ['Webhooks']
const listParams = Type.Object({ list_id: ListIdParam })
const params = Type.Object({ list_id: ListIdParam, webhook_id: WebhookIdParam })
const noList = errorResponse('No such list on this account.')
const notFound = errorResponse('No such webhook, or no such list.')
const unacceptable = errorResponse('The address is none, or a value is not acceptable.')

export const webhookRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.get(
    '/lists/:list_id/webhooks',
    {
      schema: {
        operationId: 'listWebhooks',
        summary: 'List webhooks',
        tags,
        params: listParams,
        querystring: Type.Object(pageQuery),
        response: { 200: pageSchema('webhooks', WebhookSchema), 404: noList, ...commonErrors },
      },
    },
    async (req) => {
      const { id: listId } = await getList(rt.db, req.account.id, req.params.list_id)
      const page = pageFrom(req.query)
      const [count, webhooks] = await Promise.all([countWebhooks(rt.db, listId), listWebhooks(rt.db, listId, page)])
      return {
        ...envelope(page, count),
        webhooks: webhooks.map((webhook) => presentWebhook(webhook, req.account.timeZone)),
      }
    },
  )

  app.post(
    '/lists/:list_id/webhooks',
    {
      schema: {
        operationId: 'createWebhook',
        summary: 'Create a webhook',
        description: 'Any http or https address is taken; whether it may be called is looked at when it is.',
        tags,
        params: listParams,
        body: WebhookCreateBody,
        response: { 201: WebhookCreatedResponse, 404: noList, 422: unacceptable, ...commonErrors },
      },
    },
    async (req, reply) => {
      const { id: listId } = await getList(rt.db, req.account.id, req.params.list_id)
      const webhook = await insertWebhook(rt.db, listId, readNewWebhook(req.body.webhook), rt.clock.now())
      return reply.code(201).send({ status: 'Webhook created', webhook: presentWebhook(webhook, req.account.timeZone) })
    },
  )

  app.get(
    '/lists/:list_id/webhooks/:webhook_id',
    {
      schema: {
        operationId: 'getWebhook',
        summary: 'Show a webhook',
        tags,
        params,
        response: { 200: WebhookResponse, 404: notFound, ...commonErrors },
      },
    },
    async (req) => {
      const { id: listId } = await getList(rt.db, req.account.id, req.params.list_id)
      const webhook = await findWebhook(rt.db, listId, req.params.webhook_id)
      if (!webhook) throw errors.webhookNotFound()
      return { status: 'OK' as const, webhook: presentWebhook(webhook, req.account.timeZone) }
    },
  )

  app.put(
    '/lists/:list_id/webhooks/:webhook_id',
    {
      schema: {
        operationId: 'updateWebhook',
        summary: 'Change a webhook',
        tags,
        params,
        body: WebhookUpdateBody,
        response: { 200: WebhookUpdatedResponse, 404: notFound, 422: unacceptable, ...commonErrors },
      },
    },
    async (req) => {
      const { id: listId } = await getList(rt.db, req.account.id, req.params.list_id)
      const change = readWebhookChange(req.body.webhook)
      const webhook = await updateWebhook(rt.db, listId, req.params.webhook_id, change, rt.clock.now())
      if (!webhook) throw errors.webhookNotFound()
      return { status: 'Webhook updated' as const, webhook: presentWebhook(webhook, req.account.timeZone) }
    },
  )

  app.delete(
    '/lists/:list_id/webhooks/:webhook_id',
    {
      schema: {
        operationId: 'deleteWebhook',
        summary: 'Delete a webhook',
        tags,
        params,
        response: { 200: WebhookDestroyedResponse, 404: notFound, ...commonErrors },
      },
    },
    async (req) => {
      const { id: listId } = await getList(rt.db, req.account.id, req.params.list_id)
      if ((await deleteWebhook(rt.db, listId, req.params.webhook_id)) === 0) throw errors.webhookNotFound()
      return { status: 'Webhook destroyed' as const }
    },
  )
}
