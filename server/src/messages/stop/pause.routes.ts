import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { errors } from '../../errors.ts'
import { commonErrors, errorResponse } from '../../http/schema.ts'
import { ListIdParam } from '../../lists/lists.schema.ts'
import { getList } from '../../lists/lists.ts'
import { findMessage } from '../messages.queries.ts'
import { MessageIdParam, messageResponse, presentMessage } from '../messages.schema.ts'
import { waitUntilIdle } from './cancel.ts'
import { pauseMessage, resumeMessage } from './pause.ts'

const path = '/lists/:list_id/messages/:message_id'
const common = {
  tags: ['Messages'],
  params: Type.Object({ list_id: ListIdParam, message_id: MessageIdParam }),
  'x-extension': true,
}
const config = { sends: true }
const commonResponses = {
  404: errorResponse('No such message, or no such list.'),
  422: errorResponse('The message is not being sent.'),
  ...commonErrors,
}

export const pauseRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  async function show(account: { timeZone: string }, listId: number, messageId: number) {
    const message = await findMessage(rt.db, listId, messageId)
    if (!message) throw errors.messageNotFound()
    return presentMessage(message, account.timeZone, rt.clock.now())
  }

  app.post(
    `${path}/pause`,
    {
      config,
      // the remainder is known only after the commit, which follows the handler if there is an Idempotency-Key
      onSend: async (req, reply, payload) => {
        if (reply.statusCode !== 200 || reply.hasHeader('idempotency-replayed')) return payload
        await waitUntilIdle(rt, req.params.message_id)
        const message = await show(req.account, req.params.list_id, req.params.message_id)
        return JSON.stringify({ status: 'Message paused', message })
      },
      schema: {
        ...common,
        operationId: 'pauseMessage',
        summary: 'Pause a message that is being sent',
        description:
          'Responds when no more texts of the message are sent; `queued_count` is the exact number of remaining ' +
          'recipients. The audience, the status `sending` and the deadline stay as they are. Pausing twice has no ' +
          'further effect.',
        response: { 200: messageResponse('Message paused'), ...commonResponses },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      await pauseMessage(rt, list.id, req.params.message_id)
      return { status: 'Message paused' as const, message: await show(req.account, list.id, req.params.message_id) }
    },
  )

  app.post(
    `${path}/resume`,
    {
      config,
      schema: {
        ...common,
        operationId: 'resumeMessage',
        summary: 'Resume a paused message',
        description:
          'Sends to exactly the remaining recipients, once each. Has no effect on a message that is not paused.',
        response: { 200: messageResponse('Message resumed'), ...commonResponses },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      await resumeMessage(rt, list.id, req.params.message_id)
      return { status: 'Message resumed' as const, message: await show(req.account, list.id, req.params.message_id) }
    },
  )
}
