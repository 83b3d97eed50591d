import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { MessageIdParam } from '../messages/messages.schema.ts'
import { presentRecipient, RecipientPage, RecipientsQuery, readRecipientFilter } from './recipients.schema.ts'
import { getRecipientPage } from './recipients.ts'

export const recipientRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.get(
    '/lists/:list_id/messages/:message_id/recipients',
    {
      schema: {
        operationId: 'listMessageRecipients',
        summary: 'List the recipients of a message',
        description:
          'In the order of their ids. `count` is exact: by the counters, or by reading all recipients if a reason or a carrier is ' +
          'selected. A deep page reads the recipients before it; to read all of them, use `after`, or order a report with `message_id`.',
        'x-extension': true,
        tags: ['Messages'],
        params: Type.Object({ list_id: ListIdParam, message_id: MessageIdParam }),
        querystring: RecipientsQuery,
        response: {
          200: RecipientPage,
          404: errorResponse('No such message, or no such list.'),
          410: errorResponse('The log of the day of the message is no longer kept.'),
          422: errorResponse('A state, a status, a reason, a word of `clicked` or the link does not exist.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const page = pageFrom(req.query)
      const found = await getRecipientPage(rt.db, {
        accountId: req.account.id,
        listId: req.params.list_id,
        messageId: req.params.message_id,
        filter: readRecipientFilter(req.query),
        page: { ...page, after: req.query.after ?? 0 },
      })
      return presentPage('recipients', page, found, (recipient) => presentRecipient(recipient, req.account.timeZone))
    },
  )
}
