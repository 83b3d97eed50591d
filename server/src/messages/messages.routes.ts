import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { getList } from '../lists/lists.ts'
import { readAudience } from './audience/audience.ts'
import { validateContent } from './content/content.ts'
import { createDraft } from './drafts/drafts.ts'
import { MessageCreateBody, readLinkBase, readRecipients } from './message-bodies.schema.ts'
import type { Collection } from './messages.queries.ts'
import {
  MessageCreatedResponse,
  MessageIdParam,
  MessagePage,
  MessageResponse,
  MessagesQuery,
  presentMessage,
  readDays,
} from './messages.schema.ts'
import { acceptBroadcast, getMessage, getMessagePage, sendToNumbers } from './messages.ts'
import { readSendAt, readTiming } from './timing/timing.schema.ts'
import { atAnyTime } from './timing/timing.ts'

const tags = ['Messages']
const listParams = Type.Object({ list_id: ListIdParam })
const listNotFound = errorResponse('No such list on this account.')

const collections = [
  { path: 'messages', collection: 'sent', operationId: 'listSentMessages', summary: 'List sent messages' },
  { path: 'messages/draft', collection: 'draft', operationId: 'listDraftMessages', summary: 'List drafts' },
  {
    path: 'messages/scheduled',
    collection: 'scheduled',
    operationId: 'listScheduledMessages',
    summary: 'List scheduled messages',
  },
] as const

const comparedTime: Record<Collection, string> = {
  sent: 'compared with the time of the send',
  draft: 'compared with the time of creation',
  scheduled: 'compared with the planned time',
}

export const messageRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  for (const { path, collection, operationId, summary } of collections) {
    app.get(
      `/lists/:list_id/${path}`,
      {
        schema: {
          operationId,
          summary,
          description: `Newest first. Both dates are inclusive, in UTC, and ${comparedTime[collection]}; they are also accepted in a JSON body.`,
          tags,
          params: listParams,
          querystring: MessagesQuery,
          response: {
            200: MessagePage,
            404: listNotFound,
            422: errorResponse('`start_date` or `end_date` is not a date (YYYYMMDD).'),
            ...commonErrors,
          },
        },
      },
      async (req) => {
        const page = pageFrom(req.query)
        const filter = { listId: req.params.list_id, ...readDays(req.query) }
        const found = await getMessagePage(rt.db, req.account.id, collection, filter, page)
        const now = rt.clock.now()
        return presentPage('messages', page, found, (message) => presentMessage(message, req.account.timeZone, now))
      },
    )
  }

  app.post(
    '/lists/:list_id/messages',
    {
      config: { sends: true },
      schema: {
        operationId: 'sendMessage',
        summary: 'Send to the whole list',
        description:
          'Sends to every number that is subscribed when the request is accepted. Extensions limit the audience, plan ' +
          'the message for later, or store it as a draft.',
        tags,
        params: listParams,
        body: MessageCreateBody,
        response: {
          200: MessageCreatedResponse,
          404: listNotFound,
          422: errorResponse('The content is empty or too long, a number has opted out, or another value is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { message } = req.body
      const recipients = readRecipients(message)
      const sendAt = readSendAt(message.send_at) ?? null
      if (message.draft && sendAt) throw errors.invalid({ 'message.send_at': ['is not allowed for a draft'] })
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const linkBase = readLinkBase(rt, message.track_links) ?? null
      const maxParts = message.max_parts ?? null
      await validateContent(rt.db, list.id, { content: message.content, maxParts, linkBase })
      const input = {
        accountId: req.account.id,
        list,
        content: message.content,
        name: message.name || null,
        maxParts,
        linkBase,
      }
      const respond = (id: number) => ({ status: 'OK' as const, message: { id } })
      if (recipients) {
        const { list: _, ...text } = input
        const { deliverBy } = readTiming(message)
        const texts = { ...text, listId: list.id, shortCodeId: list.shortCodeId, phones: recipients }
        const { id } = await sendToNumbers(rt, { ...texts, deliverBy, field: 'message.phone_numbers' })
        return respond(id)
      }
      const audience = message.audience ? await readAudience(rt.db, list.id, message.audience) : null
      const timing = { ...atAnyTime, ...readTiming(message) }
      if (timing.localTime && !sendAt && !message.draft) {
        throw errors.invalid({ 'message.local_time': ['requires a send_at'] })
      }
      const isDeferred = message.draft || sendAt
      const { id } = await (isDeferred
        ? createDraft(rt, { ...input, audience, timing }, sendAt)
        : acceptBroadcast(rt, { ...input, audience, timing }))
      return respond(id)
    },
  )

  app.get(
    '/lists/:list_id/messages/:message_id',
    {
      schema: {
        operationId: 'getMessage',
        summary: 'Get a message',
        description: 'The content, the state and the counters of a message to the list or to single numbers.',
        tags,
        params: Type.Object({ list_id: ListIdParam, message_id: MessageIdParam }),
        response: { 200: MessageResponse, 404: errorResponse('No such message, or no such list.'), ...commonErrors },
      },
    },
    async (req) => {
      const message = await getMessage(rt.db, req.account.id, req.params.list_id, req.params.message_id)
      return { status: 'OK' as const, message: presentMessage(message, req.account.timeZone, rt.clock.now()) }
    },
  )
}
