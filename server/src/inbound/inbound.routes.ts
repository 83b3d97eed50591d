import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ConnectionIdParam } from '../connections/connections.schema.ts'
import { useOperatorsOnly } from '../http/auth.ts'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { presentUnmatched, UnmatchedMoPage } from './inbound.schema.ts'
import { getUnmatchedPage } from './unmatched.ts'

/** The route of unmatched MOs; it responds 404 to accounts that are not operators. */
export const inboundRoutes: FastifyPluginAsyncTypebox = async (app) => {
  useOperatorsOnly(app)

  app.get(
    '/connections/:connection_id/unmatched_mos',
    {
      schema: {
        operationId: 'listUnmatchedMos',
        summary: 'List the MOs with an unknown sender or destination, latest first',
        description:
          'An MO with a sender that is not a phone number cannot be interpreted, so it is listed here. An MO with a destination that is not one of our short codes is listed as well; if it is an opt-out, it applies to every short code that sends through the connection.',
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
}
