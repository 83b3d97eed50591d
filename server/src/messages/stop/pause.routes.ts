import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { errors } from '../../errors.ts'
import { commonErrors, errorResponse } from '../../http/schema.ts'
import { ListIdParam } from '../../lists/lists.schema.ts'
import { getList } from '../../lists/lists.ts'
import { findMessage } from '../messages.queries.ts'
import { MessageIdParam, messageAnswer, presentMessage } from '../messages.schema.ts'
import { untilNothingMoves } from './cancel.ts'
import { pauseMessage, resumeMessage } from './pause.ts'

const path = '/lists/:list_id/messages/:message_id'
const common = {
  tags: ['Messages'],
  params: Type.Object({ list_id: ListIdParam, message_id: MessageIdParam }),
  'x-extension': true,
}
const config = { sends: true }
const others = {
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
      // after the commit, which an Idempotency-Key puts off until the handler is through: the remainder is known only then
      onSend: async (req, reply, payload) => {
        if (reply.statusCode !== 200 || reply.hasHeader('idempotency-replayed')) return payload
        await untilNothingMoves(rt, req.params.message_id)
        const message = await show(req.account, req.params.list_id, req.params.message_id)
        return JSON.stringify({ status: 'Message paused', message })
      },
      schema: {
        ...common,
        operationId: 'pauseMessage',
        summary: 'Pause a message that is being sent',
        description:
          'Answers when no text of it leaves any more; `queued_count` is exactly who is left. Its audience stays who it ' +
          'is, its status stays `sending`, and its deadline goes on. Who pauses twice gets the same answer.',
        response: { 200: messageAnswer('Message paused'), ...others },
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
        summary: 'Go on with a paused message',
        description: 'Texts exactly those who were left, each once. Does no harm to a message that is not paused.',
        response: { 200: messageAnswer('Message resumed'), ...others },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      await resumeMessage(rt, list.id, req.params.message_id)
      return { status: 'Message resumed' as const, message: await show(req.account, list.id, req.params.message_id) }
    },
  )
}
