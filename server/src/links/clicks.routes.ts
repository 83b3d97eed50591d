import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { pageOf } from '../lib/paging.ts'
import { ListIdParam } from '../lists/lists.schema.ts'
import { getList } from '../lists/lists.ts'
import { parsePhoneNumber } from '../sms/phone-number.ts'
import { countClicks, findMessageOfList, listClicks } from './clicks.queries.ts'
import { ClickedMessageIdParam, ClickPage, ClicksQuery, presentClick } from './clicks.schema.ts'

export const clickRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.get(
    '/lists/:list_id/messages/:message_id/clicks',
    {
      schema: {
        operationId: 'listClicks',
        summary: 'List the clicks on the tracked links of a message',
        description:
          'Latest first, of people and machines; `rule` is the rule that attributes a click to a machine. A click is listed ' +
          'a moment after it was redirected.',
        tags: ['Messages'],
        'x-extension': true,
        params: Type.Object({ list_id: ListIdParam, message_id: ClickedMessageIdParam }),
        querystring: ClicksQuery,
        response: {
          200: ClickPage,
          404: errorResponse('No such message, or no such list.'),
          422: errorResponse('`phone_number` is not a phone number.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { list_id, message_id } = req.params
      const list = await getList(rt.db, req.account.id, list_id)
      if (!(await findMessageOfList(rt.db, list.id, message_id))) throw errors.messageNotFound()
      const phone = readPhone(req.query.phone_number)
      const page = pageFrom(req.query)
      const found = await pageOf(countClicks(rt.db, message_id, phone), listClicks(rt.db, message_id, phone, page))
      return presentPage('clicks', page, found, (click) => presentClick(click, req.account.timeZone))
    },
  )
}

function readPhone(text: string | undefined): number | null {
  if (text === undefined || text === '') return null
  const phone = parsePhoneNumber(text)
  if (phone === undefined) throw errors.invalid({ phone_number: ['is not a phone number'] })
  return phone
}
