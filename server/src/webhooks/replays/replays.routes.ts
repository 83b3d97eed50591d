import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { commonErrors, errorResponse } from '../../http/schema.ts'
import { ListIdParam } from '../../lists/lists.schema.ts'
import { AttemptIdParam } from '../delivery-log/attempts.schema.ts'
import { WebhookIdParam } from '../webhooks.schema.ts'
import {
  AttemptReplayResponse,
  presentReplay,
  ReplayBody,
  ReplayIdParam,
  ReplayResponse,
  readReplay,
} from './replays.schema.ts'
import { getReplay, replayAttempt, requestReplay } from './replays.ts'

const common = { tags: ['Webhooks'], 'x-extension': true }
const path = { list_id: ListIdParam, webhook_id: WebhookIdParam }
const url = '/lists/:list_id/webhooks/:webhook_id/replays'

export const replayRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.post(
    url,
    {
      schema: {
        ...common,
        operationId: 'replayWebhook',
        summary: 'Deliver events to a webhook again',
        description:
          'One event, a range of positions, or what was given up since a time. The deliveries are queued after the response, in ' +
          'turns by account; an event that waits already is not queued twice. They have the same `webhook-id` as before.',
        params: Type.Object(path),
        body: ReplayBody,
        response: {
          202: ReplayResponse,
          404: errorResponse('No such webhook or list on this account.'),
          410: errorResponse('The event, or the beginning of the range, is deleted.'),
          422: errorResponse(
            'A value is invalid, the webhook does not receive the event or is disabled, or the account has too many open replays.',
          ),
          ...commonErrors,
        },
      },
    },
    async (req, reply) => {
      const { list_id: listId, webhook_id: webhookId } = req.params
      const request = readReplay(req.body.replay)
      const replay = await requestReplay(rt, { accountId: req.account.id, listId, webhookId }, request)
      reply.status(202)
      return { status: 'OK' as const, replay: presentReplay(replay, req.account.timeZone) }
    },
  )

  app.get(
    `${url}/:replay_id`,
    {
      schema: {
        ...common,
        operationId: 'getWebhookReplay',
        summary: 'Get a replay',
        description: 'Its state, and how many deliveries it has queued.',
        params: Type.Object({ ...path, replay_id: ReplayIdParam }),
        response: {
          200: ReplayResponse,
          404: errorResponse('No such replay, webhook or list on this account.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { list_id: listId, webhook_id: webhookId, replay_id } = req.params
      const replay = await getReplay(rt.db, { accountId: req.account.id, listId, webhookId }, replay_id)
      return { status: 'OK' as const, replay: presentReplay(replay, req.account.timeZone) }
    },
  )

  app.post(
    '/webhook_attempts/:attempt_id/replay',
    {
      schema: {
        ...common,
        operationId: 'replayWebhookAttempt',
        summary: 'Deliver the event of an attempt again',
        description:
          'To the webhook or callback URL of the attempt, whatever its outcome was. An event that waits already is due at once.',
        params: Type.Object({ attempt_id: AttemptIdParam }),
        response: {
          202: AttemptReplayResponse,
          404: errorResponse('No such attempt on this account, or its webhook no longer exists.'),
          410: errorResponse('The event is deleted.'),
          422: errorResponse('The webhook is disabled, or the event is a test.'),
          ...commonErrors,
        },
      },
    },
    async (req, reply) => {
      const position = await replayAttempt(rt, req.account.id, req.params.attempt_id)
      reply.status(202)
      return { status: 'OK' as const, attempt_replay: { attempt_id: req.params.attempt_id, position } }
    },
  )
}
