import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { errors } from '../../errors.ts'
import { commonErrors, errorResponse } from '../../http/schema.ts'
import { ListIdParam } from '../../lists/lists.schema.ts'
import { getList } from '../../lists/lists.ts'
import { readAudience } from '../audience/audience.ts'
import { readPhones } from '../audience/recipients.ts'
import { MessageUpdateBody, readLinkBase, TestBody } from '../message-bodies.schema.ts'
import { findMessage } from '../messages.queries.ts'
import { MessageCreatedResponse, MessageIdParam, messageResponse, presentMessage } from '../messages.schema.ts'
import { cancelMessage, waitUntilIdle } from '../stop/cancel.ts'
import { readSendAt, readTiming } from '../timing/timing.schema.ts'
import { changeDraft, copyBroadcast, deleteDraft, sendDraft, sendTest } from './drafts.ts'

// Extensions: drafts and scheduled messages, which the vendor offers only in its web product, and cancelling.

const path = '/lists/:list_id/messages/:message_id'
const common = {
  tags: ['Messages'],
  params: Type.Object({ list_id: ListIdParam, message_id: MessageIdParam }),
  'x-extension': true,
}
const config = { sends: true }
const commonResponses = { 404: errorResponse('No such message, or no such list.'), ...commonErrors }
const wrongStatus = errorResponse('The status of the message does not allow this.')

export const draftRoutes: FastifyPluginAsyncTypebox = async (app) => {
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
        summary: 'Update a draft or a scheduled message',
        description:
          'Only the keys in the request change. A `send_at` schedules the message; null turns it into a draft.',
        body: MessageUpdateBody,
        response: {
          200: messageResponse('Message updated'),
          422: errorResponse('The status of the message does not allow this, or a value is invalid.'),
          ...commonResponses,
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
        linkBase: readLinkBase(rt, req.body.message.track_links),
        audience: audience ? await readAudience(rt.db, list.id, audience) : audience,
        sendAt: readSendAt(send_at),
        ...readTiming(req.body.message),
      }
      const change = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
      await changeDraft(rt, list, req.params.message_id, change)
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
        description: 'Other messages cannot be deleted; a scheduled message can be cancelled.',
        response: {
          200: Type.Object({ status: Type.Literal('Message destroyed') }),
          422: wrongStatus,
          ...commonResponses,
        },
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
        description: 'Sends to the numbers of its audience that are subscribed when the request is accepted.',
        response: { 200: messageResponse('Message sending'), 422: wrongStatus, ...commonResponses },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      await sendDraft(rt, list, req.params.message_id)
      return { status: 'Message sending' as const, message: await show(req, list.id, req.params.message_id) }
    },
  )

  app.post(
    `${path}/cancel`,
    {
      config,
      // waits after the commit, which follows the handler if there is an Idempotency-Key
      onSend: async (req, reply, payload) => {
        if (reply.statusCode === 200) await waitUntilIdle(rt, req.params.message_id)
        return payload
      },
      schema: {
        ...common,
        operationId: 'cancelMessage',
        summary: 'Cancel a message that is scheduled or being sent',
        description:
          'Responds when no more texts of the message are sent. Remaining recipients are counted as cancelled, which ' +
          'may take a moment longer; receipts of texts that were sent before are still counted.',
        response: { 200: messageResponse('Message cancelled'), 422: wrongStatus, ...commonResponses },
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
        summary: 'Send a test of a message to a few numbers',
        description:
          'The test is a separate message and is not counted in this one. A number that has opted out is an error.',
        body: TestBody,
        response: {
          200: MessageCreatedResponse,
          422: errorResponse('A number is not a phone number, or has opted out.'),
          ...commonResponses,
        },
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
        summary: 'Copy a message into a new draft',
        description:
          'The draft has the content, name, audience and timing of the message, but no planned time and no deadline.',
        response: { 200: messageResponse('Message copied'), ...commonResponses },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const { id } = await copyBroadcast(rt, list, req.params.message_id)
      return { status: 'Message copied' as const, message: await show(req, list.id, id) }
    },
  )
}
