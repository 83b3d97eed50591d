import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { errors } from '../../errors.ts'
import { commonErrors, errorResponse } from '../../http/schema.ts'
import { ListIdParam } from '../../lists/lists.schema.ts'
import { WebhookIdParam } from '../webhooks.schema.ts'
import { getWebhook } from '../webhooks.ts'
import { findHealth } from './health.queries.ts'
import { HealthResponse, presentHealth } from './health.schema.ts'

export const webhookHealthRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.get(
    '/lists/:list_id/webhooks/:webhook_id/health',
    {
      schema: {
        tags: ['Webhooks'],
        'x-extension': true,
        operationId: 'getWebhookHealth',
        summary: 'Get the health of a webhook',
        description: 'Its last success and failure, the attempts of the last hour and day, and what waits for it.',
        params: Type.Object({ list_id: ListIdParam, webhook_id: WebhookIdParam }),
        response: {
          200: HealthResponse,
          404: errorResponse('No such webhook or list on this account.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { list_id: listId, webhook_id: id } = req.params
      await getWebhook(rt.db, req.account.id, listId, id)
      const health = await findHealth(rt.db, id, rt.clock.now())
      if (!health) throw errors.webhookNotFound()
      return { status: 'OK' as const, health: presentHealth(id, health, req.account.timeZone) }
    },
  )
}
