import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { commonErrors, errorResponse } from '../../http/schema.ts'
import { makeCallbackUrlCheck } from '../../lib/callback-url.ts'
import { formatPhoneNumber } from '../../sms/phone-number.ts'
import { readTransactional, TransactionalBody, TransactionalResponse } from './transactional-messages.schema.ts'
import { sendTransactional } from './transactional-messages.ts'

export const transactionalMessageRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  const faultOfUrl = makeCallbackUrlCheck(rt.config.allowPrivateUrls)

  app.post(
    '/transactional_messages',
    {
      config: { sends: true },
      schema: {
        operationId: 'sendTransactionalMessage',
        summary: 'Send a text to one number',
        description:
          'Sends from the first short code of the account, before all broadcasts. The number need not be a subscriber, ' +
          'but must not have sent STOP to that short code. The callback address receives the result and the replies.',
        tags: ['Messages'],
        body: TransactionalBody,
        response: {
          200: TransactionalResponse,
          422: errorResponse('The number is malformed or has opted out, the content is too long, or it is an MMS.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const message = readTransactional(req.body, faultOfUrl)
      const { id } = await sendTransactional(rt, { accountId: req.account.id, ...message })
      return {
        status: 'Message successfully sent.' as const,
        transactional_message: {
          id,
          number: formatPhoneNumber(message.phone),
          content: message.content,
          status: 'pending' as const,
        },
      }
    },
  )
}
