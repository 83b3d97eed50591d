import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { errors } from '../../errors.ts'
import { commonErrors, errorResponse } from '../../http/schema.ts'
import { ListIdParam } from '../../lists/lists.schema.ts'
import { getList } from '../../lists/lists.ts'
import { readAudience } from '../audience/audience.ts'
import { readPhones } from '../audience/recipients.ts'
import { findMessage } from '../messages.queries.ts'
import {
  MessageCreatedResponse,
  MessageIdParam,
  MessageUpdateBody,
  messageAnswer,
  presentMessage,
  readSendAt,
  readTiming,
  TestBody,
} from '../messages.schema.ts'
import { cancelMessage, untilNothingMoves } from '../stop/cancel.ts'
import { changeWaiting, copyBroadcast, deleteDraft, sendTest, sendWaiting } from './drafts.ts'

// What the vendor keeps in its web product: broadcasts that wait, and the end of one that does not.

const path = '/lists/:list_id/messages/:message_id'
const common = {
  tags: ['Messages'],
  params: Type.Object({ list_id: ListIdParam, message_id: MessageIdParam }),
  'x-extension': true,
}
const config = { sends: true }
const others = { 404: errorResponse('No such message, or no such list.'), ...commonErrors }
const wrongStatus = errorResponse('The message is past that.')

export const waitingRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  async function show(req: FastifyRequest, listId: number, messageId: number) {
    const message = await findMessage(rt.db, listId, messageId)
    if (!message) throw errors.messageNotFound()
    return presentMessage(message, req.account.timeZone, rt.clock.now())
  }

  app.put(
    path,
    {
      config,
      schema: {
        ...common,
        operationId: 'updateMessage',
        summary: 'Change a draft or a scheduled message',
        description: 'Only the keys present change. `send_at` schedules it, or makes a draft of it when null.',
        body: MessageUpdateBody,
        response: {
          200: messageAnswer('Message updated'),
          422: errorResponse('It is past that, or a value is not acceptable.'),
          ...others,
        },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const { content, name, max_parts: maxParts, audience, send_at } = req.body.message
      const given = {
        content,
        name: name === '' ? null : name,
        maxParts,
        audience: audience ? await readAudience(rt.db, list.id, audience) : audience,
        sendAt: readSendAt(send_at),
        ...readTiming(req.body.message),
      }
      const change = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
      await changeWaiting(rt, list, req.params.message_id, change)
      return { status: 'Message updated' as const, message: await show(req, list.id, req.params.message_id) }
    },
  )

  app.delete(
    path,
    {
      config,
      schema: {
        ...common,
        operationId: 'deleteMessage',
        summary: 'Delete a draft',
        response: { 200: Type.Object({ status: Type.Literal('Message destroyed') }), 422: wrongStatus, ...others },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      await deleteDraft(rt, list, req.params.message_id)
      return { status: 'Message destroyed' as const }
    },
  )

  app.post(
    `${path}/send`,
    {
      config,
      schema: {
        ...common,
        operationId: 'sendWaitingMessage',
        summary: 'Send a draft or a scheduled message now',
        description: 'Texts everybody of its audience who is subscribed when this is accepted.',
        response: { 200: messageAnswer('Message sending'), 422: wrongStatus, ...others },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      await sendWaiting(rt, list, req.params.message_id)
      return { status: 'Message sending' as const, message: await show(req, list.id, req.params.message_id) }
    },
  )

  app.post(
    `${path}/cancel`,
    {
      config,
      // after the commit, which an Idempotency-Key puts off until the handler is through
      onSend: async (req, reply, payload) => {
        if (reply.statusCode === 200) await untilNothingMoves(rt, req.params.message_id)
        return payload
      },
      schema: {
        ...common,
        operationId: 'cancelMessage',
        summary: 'Cancel a message that is scheduled or being sent',
        description:
          'Answers when no text of it leaves any more. Who was still to be texted is counted as cancelled, which may ' +
          'take a moment longer; receipts of what had left are still counted.',
        response: { 200: messageAnswer('Message cancelled'), 422: wrongStatus, ...others },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      await cancelMessage(rt, list.id, req.params.message_id)
      return { status: 'Message cancelled' as const, message: await show(req, list.id, req.params.message_id) }
    },
  )

  app.post(
    `${path}/test`,
    {
      config,
      schema: {
        ...common,
        operationId: 'testMessage',
        summary: 'Send the text to a few numbers to try it',
        description: 'A message of its own, which counts for nothing else. Refuses a number that has opted out.',
        body: TestBody,
        response: { 200: MessageCreatedResponse, 422: errorResponse('A number is none, or has opted out.'), ...others },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const phones = readPhones(req.body.phone_numbers, 'phone_numbers')
      const { id } = await sendTest(rt, list, req.params.message_id, phones)
      return { status: 'OK' as const, message: { id } }
    },
  )

  app.post(
    `${path}/copy`,
    {
      config,
      schema: {
        ...common,
        operationId: 'copyMessage',
        summary: 'Make a draft of the same text to the same audience',
        response: { 200: messageAnswer('Message copied'), ...others },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const { id } = await copyBroadcast(rt, list, req.params.message_id)
      return { status: 'Message copied' as const, message: await show(req, list.id, id) }
    },
  )
}
