import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import {
  PreviewQuery,
  PreviewResponse,
  presentPreview,
  TestEventBody,
  TestEventResponse,
} from './test-events.schema.ts'
import { previewPayload, sendTestEvent } from './test-events.ts'
import { WebhookIdParam } from './webhooks.schema.ts'

const common = { tags: ['Webhooks'], 'x-extension': true }
const params = Type.Object({ list_id: ListIdParam, webhook_id: WebhookIdParam })
const notFound = errorResponse('No such webhook or list on this account.')

export const testEventRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.post(
    '/lists/:list_id/webhooks/:webhook_id/test_events',
    {
      schema: {
        ...common,
        operationId: 'testWebhook',
        summary: 'Send a test event to a webhook',
        description:
          'A made-up event, signed as all are, with the additional key `is_test`, which is true. It is delivered once, also to a ' +
          'webhook that does not receive its type; the result is in the log of attempts.',
        params,
        body: TestEventBody,
        response: {
          202: TestEventResponse,
          404: notFound,
          422: errorResponse('The type is invalid, or the webhook is disabled.'),
          ...commonErrors,
        },
      },
    },
    async (req, reply) => {
      const { list_id: listId, webhook_id: webhookId } = req.params
      const { type } = req.body.test_event
      const { id: accountId, timeZone } = req.account
      const position = await sendTestEvent(rt, { accountId, listId, webhookId, timeZone }, type)
      reply.status(202)
      return { status: 'OK' as const, test_event: { type, position } }
    },
  )

  app.get(
    '/lists/:list_id/webhooks/:webhook_id/preview',
    {
      schema: {
        ...common,
        operationId: 'previewWebhook',
        summary: 'Get the payload of a made-up event',
        description: 'With the custom fields of the list; of `subscribe` without a `type`. Nothing is sent.',
        params,
        querystring: PreviewQuery,
        response: { 200: PreviewResponse, 404: notFound, 422: errorResponse('The type is invalid.'), ...commonErrors },
      },
    },
    async (req, reply) => {
      const { list_id: listId, webhook_id: webhookId } = req.params
      const { type = 'subscribe' } = req.query
      const { id: accountId, timeZone } = req.account
      const payload = await previewPayload(rt, { accountId, listId, webhookId, timeZone }, type)
      // the types describe the object, of which this is the text
      return reply.type('application/json; charset=utf-8').send(presentPreview(type, payload) as never)
    },
  )
}
