import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { makeCallbackUrlCheck } from '../lib/callback-url.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import {
  CallbackTestBody,
  CallbackTestResponse,
  PreviewQuery,
  PreviewResponse,
  presentPreview,
  readCallbackTest,
  TestEventBody,
  TestEventResponse,
} from './test-events.schema.ts'
import { previewPayload, sendCallbackTest, sendTestEvent } from './test-events.ts'
import { WebhookIdParam } from './webhooks.schema.ts'

const common = { tags: ['Webhooks'], 'x-extension': true }
const params = Type.Object({ list_id: ListIdParam, webhook_id: WebhookIdParam })
const notFound = errorResponse('No such webhook or list on this account.')

export const testEventRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  const faultOfUrl = makeCallbackUrlCheck(rt.config.allowPrivateUrls)

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

  app.post(
    '/callback_test_events',
    {
      schema: {
        ...common,
        operationId: 'testCallback',
        summary: 'Send a test event to a callback URL',
        description:
          'A made-up callback, as a message or a report with this URL would send it, with the additional key `is_test`, which is ' +
          'true. It is delivered once; the result is in the log of attempts.',
        body: CallbackTestBody,
        response: {
          202: CallbackTestResponse,
          422: errorResponse('The type or the URL is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req, reply) => {
      const test = readCallbackTest(req.body.callback_test_event, faultOfUrl)
      const position = await sendCallbackTest(rt, { accountId: req.account.id, timeZone: req.account.timeZone }, test)
      reply.status(202)
      return { status: 'OK' as const, callback_test_event: { type: test.type, position } }
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
