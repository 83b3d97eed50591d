import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ConnectionIdParam } from '../connections/connections.schema.ts'
import { useOperatorsOnly } from '../http/auth.ts'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import {
  presentUnmatched,
  readApplyBody,
  UnmatchedMoApplied,
  UnmatchedMoApplyBody,
  UnmatchedMoIdParam,
  UnmatchedMoPage,
} from './inbound.schema.ts'
import { applyUnmatched, getUnmatchedPage } from './unmatched.ts'

/** The routes of unmatched MOs; they respond 404 to accounts that are not operators. */
export const inboundRoutes: FastifyPluginAsyncTypebox = async (app) => {
  useOperatorsOnly(app)

  app.get(
    '/connections/:connection_id/unmatched_mos',
    {
      schema: {
        operationId: 'listUnmatchedMos',
        summary: 'List the MOs with an unknown sender or destination, latest first',
        description:
          'An MO with a sender that is not a phone number cannot be interpreted, so it is listed here. An MO with a destination that is not one of our short codes is listed as well; if it is an opt-out, it applies to every short code that sends through the connection. An opt-out without `applied_at` concerned no short code.',
        tags: ['Connections'],
        'x-extension': true,
        params: Type.Object({ connection_id: ConnectionIdParam }),
        querystring: PageQuery,
        response: {
          200: UnmatchedMoPage,
          404: errorResponse('No such connection, or the account is not an operator.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const page = pageFrom(req.query)
      const found = await getUnmatchedPage(app.rt.db, req.params.connection_id, page)
      return presentPage('unmatched_mos', page, found, (mo) => presentUnmatched(mo, req.account.timeZone))
    },
  )

  app.post(
    '/connections/:connection_id/unmatched_mos/:unmatched_mo_id/apply',
    {
      schema: {
        operationId: 'applyUnmatchedMo',
        summary: 'Apply an opt-out that concerned no short code when it arrived',
        description:
          'Gateways apply the opt-out within a second, as if it had just arrived: to the short code that it was sent to, or else to every short code that sends through the connection. A late opt-out gets no confirmation. An opt-out to a number that becomes one of our short codes is applied without this request.',
        tags: ['Connections'],
        'x-extension': true,
        params: Type.Object({ connection_id: ConnectionIdParam, unmatched_mo_id: UnmatchedMoIdParam }),
        body: UnmatchedMoApplyBody,
        response: {
          200: UnmatchedMoApplied,
          404: errorResponse('No such connection or MO, or the account is not an operator.'),
          422: errorResponse('The MO is no opt-out, was applied before, or concerns no short code.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { connection_id: connectionId, unmatched_mo_id: id } = req.params
      const mo = await applyUnmatched(app.rt.db, { connectionId, id, phone: readApplyBody(req.body) })
      return {
        status: 'Opt-out will be applied' as const,
        unmatched_mo: presentUnmatched(mo, req.account.timeZone),
      }
    },
  )
}
