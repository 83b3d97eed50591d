import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { getList } from '../lists/lists.ts'
import { MessageIdParam, TransactionalMessageIdParam } from '../messages/messages.schema.ts'
import { parsePhoneNumber } from '../sms/phone-number.ts'
import { presentExplanation, RecipientPhoneParam, RecipientResponse } from './explanation.schema.ts'
import { explain } from './explanation.ts'

const description =
  'The result for one number, and all steps: why the number was chosen or not, each submit with its connection, time ' +
  'and status, and the receipt. For a number to which a broadcast was not sent, the state is `not_chosen`, with the reason.'

const common = { tags: ['Messages'], description, 'x-extension': true }
const responses = {
  200: RecipientResponse,
  404: errorResponse('No such message, list or recipient.'),
  410: errorResponse('The log of the day of the message is no longer kept.'),
  ...commonErrors,
}

export const explanationRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.get(
    '/lists/:list_id/messages/:message_id/recipients/:phone_number',
    {
      schema: {
        operationId: 'explainRecipient',
        summary: 'Explain the result of a text',
        params: Type.Object({ list_id: ListIdParam, message_id: MessageIdParam, phone_number: RecipientPhoneParam }),
        response: responses,
        ...common,
      },
    },
    async (req) => {
      const { list_id, message_id, phone_number } = req.params
      const list = await getList(rt.db, req.account.id, list_id)
      const phone = readPhone(phone_number)
      const request = { accountId: req.account.id, listId: list.id, messageId: message_id, phone }
      return presentExplanation(await explain(rt.db, request))
    },
  )

  app.get(
    '/transactional_messages/:transactional_message_id/recipients/:phone_number',
    {
      schema: {
        operationId: 'explainTransactionalRecipient',
        summary: 'Explain the result of a transactional text',
        params: Type.Object({
          transactional_message_id: TransactionalMessageIdParam,
          phone_number: RecipientPhoneParam,
        }),
        response: responses,
        ...common,
      },
    },
    async (req) => {
      const { transactional_message_id: messageId, phone_number } = req.params
      const phone = readPhone(phone_number)
      const request = { accountId: req.account.id, listId: null, messageId, phone }
      return presentExplanation(await explain(rt.db, request))
    },
  )
}

function readPhone(text: string): number {
  const phone = parsePhoneNumber(text)
  if (phone === undefined) throw errors.recipientNotFound()
  return phone
}
