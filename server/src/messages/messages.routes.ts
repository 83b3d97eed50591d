import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { envelope, pageFrom, pageSchema } from '../http/pagination.ts'
import { Id, ListId, refusal, refusals } from '../http/schema.ts'
import { getList } from '../lists/lists.ts'
import { countMessages, findMessage, listMessages } from './messages.queries.ts'
import {
  MessageAnswer,
  MessageCreateBody,
  MessageCreatedAnswer,
  MessageSchema,
  MessagesQuery,
  presentMessage,
  readDays,
  refuseRecipients,
} from './messages.schema.ts'
import { acceptBroadcast } from './messages.ts'

const tags = ['Messages']
const listParams = Type.Object({ list_id: ListId })
const noList = refusal('No such list on this account.')

const collections = [
  { path: 'messages', statuses: ['sending', 'sent'], operationId: 'listSentMessages', summary: 'List sent messages' },
  { path: 'messages/draft', statuses: ['draft'], operationId: 'listDraftMessages', summary: 'List drafts' },
  {
    path: 'messages/scheduled',
    statuses: ['scheduled'],
    operationId: 'listScheduledMessages',
    summary: 'List scheduled messages',
  },
]

export const messageRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  for (const { path, statuses, operationId, summary } of collections) {
    app.get(
      `/lists/:list_id/${path}`,
      {
        schema: {
          operationId,
          summary,
          description: 'Newest first. The two days may also come in a JSON body; both count, in UTC.',
          tags,
          params: listParams,
          querystring: MessagesQuery,
          response: {
            200: pageSchema('messages', MessageSchema),
            404: noList,
            422: refusal('A day is not one.'),
            ...refusals,
          },
        },
      },
      async (req) => {
        const list = await getList(rt.db, req.account.id, req.params.list_id)
        const filter = { listId: list.id, statuses, ...readDays(req.query) }
        const page = pageFrom(req.query)
        const [count, messages] = await Promise.all([countMessages(rt.db, filter), listMessages(rt.db, filter, page)])
        const now = rt.clock.now()
        return {
          ...envelope(page, count),
          messages: messages.map((message) => presentMessage(message, req.account.timeZone, now)),
        }
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
        description: 'Texts everybody who is subscribed when this is accepted.',
        tags,
        params: listParams,
        body: MessageCreateBody,
        response: {
          200: MessageCreatedAnswer,
          404: noList,
          422: refusal('The content is empty, or longer than 160 characters.'),
          ...refusals,
        },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const { message } = req.body
      refuseRecipients(message)
      const { id } = await acceptBroadcast(rt, {
        accountId: req.account.id,
        list: { id: list.id, shortCodeId: list.shortCodeId },
        content: message.content,
        name: message.name || null,
      })
      return { status: 'OK' as const, message: { id } }
    },
  )

  app.get(
    '/lists/:list_id/messages/:message_id',
    {
      schema: {
        operationId: 'getMessage',
        summary: 'Show a message',
        tags,
        params: Type.Object({ list_id: ListId, message_id: Id('Id of the message.') }),
        response: { 200: MessageAnswer, 404: refusal('No such message, or no such list.'), ...refusals },
      },
    },
    async (req) => {
      const list = await getList(rt.db, req.account.id, req.params.list_id)
      const message = await findMessage(rt.db, list.id, req.params.message_id)
      if (!message) throw errors.messageNotFound()
      return { status: 'OK' as const, message: presentMessage(message, req.account.timeZone, rt.clock.now()) }
    },
  )
}
