import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { commonErrors, errorResponse } from '../../http/schema.ts'
import { ListIdParam } from '../../lists/lists.schema.ts'
import { WebhookIdParam } from '../webhooks.schema.ts'
import { getWebhook } from '../webhooks.ts'
import { listWaiting } from './waiting.queries.ts'
import { presentWaitingPage, readWaitingQuery, WaitingPage, WaitingQuery } from './waiting.schema.ts'

export const waitingRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.get(
    '/lists/:list_id/webhooks/:webhook_id/deliveries',
    {
      schema: {
        tags: ['Webhooks'],
        'x-extension': true,
        operationId: 'listWaitingDeliveries',
        summary: 'List events that wait for a webhook',
        description:
          'In the order of their positions, with the time of the next attempt. What was delivered or given up is in the log.',
        params: Type.Object({ list_id: ListIdParam, webhook_id: WebhookIdParam }),
        querystring: WaitingQuery,
        response: {
          200: WaitingPage,
          404: errorResponse('No such webhook or list on this account.'),
          422: errorResponse('A parameter is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { list_id: listId, webhook_id: id } = req.params
      const { filter, limit } = readWaitingQuery(req.query, id)
      await getWebhook(rt.db, req.account.id, listId, id)
      return presentWaitingPage(await listWaiting(rt.db, filter, limit), limit, req.account.timeZone)
    },
  )
}
