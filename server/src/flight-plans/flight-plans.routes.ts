import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { getList } from '../lists/lists.ts'
import { readAudience } from '../messages/audience/audience.ts'
import { readLinkBase } from '../messages/message-bodies.schema.ts'
import { findMessage } from '../messages/messages.queries.ts'
import { MessageIdParam } from '../messages/messages.schema.ts'
import { readSendAt } from '../messages/timing/timing.schema.ts'
import { FlightPlanBody, FlightPlanIdParam, FlightPlanResponse, presentFlightPlan } from './flight-plans.schema.ts'
import { getFlightPlan, requestFlightPlan } from './flight-plans.ts'

const common = { tags: ['Messages'], 'x-extension': true }
const description =
  'The plan is computed over the real list, with the merge tags of each text: audience and suppressed members, parts, cost by ' +
  'carrier, duration under the caps, recipients in quiet hours, and the characters that require UCS-2. This takes a few ' +
  'seconds: get the flight plan until its status is `done`. It is deleted after a day.'

export const flightPlanRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.post(
    '/lists/:list_id/flight_plans',
    {
      schema: {
        ...common,
        operationId: 'planFlight',
        summary: 'Create a flight plan for a text to a list',
        description,
        params: Type.Object({ list_id: ListIdParam }),
        body: FlightPlanBody,
        response: {
          202: FlightPlanResponse,
          404: errorResponse('No such list on this account.'),
          422: errorResponse(
            'The content or another value is invalid, or the account has too many pending flight plans.',
          ),
          ...commonErrors,
        },
      },
    },
    async (req, reply) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const { content, max_parts, track_links, audience, send_at } = req.body.message
      const plan = await requestFlightPlan(rt, {
        accountId: req.account.id,
        listId: list.id,
        messageId: null,
        content,
        maxParts: max_parts ?? null,
        linkBase: readLinkBase(rt, track_links) ?? null,
        audience: audience ? await readAudience(rt.db, list.id, audience) : null,
        sendAt: readSendAt(send_at) ?? null,
      })
      reply.status(202)
      return { status: 'OK' as const, flight_plan: presentFlightPlan(plan, req.account.timeZone) }
    },
  )

  app.post(
    '/lists/:list_id/messages/:message_id/flight_plan',
    {
      schema: {
        ...common,
        operationId: 'planFlightOfMessage',
        summary: 'Create a flight plan for a draft or a scheduled message',
        description,
        params: Type.Object({ list_id: ListIdParam, message_id: MessageIdParam }),
        response: {
          202: FlightPlanResponse,
          404: errorResponse('No such message or list on this account.'),
          422: errorResponse(
            'The message is neither a draft nor scheduled, its content is no longer valid, or the account has too many pending flight plans.',
          ),
          ...commonErrors,
        },
      },
    },
    async (req, reply) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const message = await findMessage(rt.db, list.id, req.params.message_id)
      if (!message) throw errors.messageNotFound()
      if (message.status !== 'draft' && message.status !== 'scheduled') {
        throw errors.wrongMessageStatus(message.status, 'planned')
      }
      const plan = await requestFlightPlan(rt, {
        accountId: req.account.id,
        listId: list.id,
        messageId: message.id,
        content: message.content,
        maxParts: message.maxParts,
        linkBase: message.linkBase,
        audience: message.audience,
        sendAt: message.sendAt,
      })
      reply.status(202)
      return { status: 'OK' as const, flight_plan: presentFlightPlan(plan, req.account.timeZone) }
    },
  )

  app.get(
    '/lists/:list_id/flight_plans/:flight_plan_id',
    {
      schema: {
        ...common,
        operationId: 'getFlightPlan',
        summary: 'Get a flight plan, with its result when it is done',
        description: 'A plan is complete when its `status` is `done` or `failed`; a pending one has no `result`.',
        params: Type.Object({ list_id: ListIdParam, flight_plan_id: FlightPlanIdParam }),
        response: {
          200: FlightPlanResponse,
          404: errorResponse('No such flight plan or list on this account.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const plan = await getFlightPlan(rt.db, list.id, req.params.flight_plan_id)
      return { status: 'OK' as const, flight_plan: presentFlightPlan(plan, req.account.timeZone) }
    },
  )
}
