import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ConnectionIdParam } from '../connections/connections.schema.ts'
import { useOperatorsOnly } from '../http/auth.ts'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { getOrphanPage } from './orphans.ts'
import { OrphanPage, presentOrphan } from './receipts.schema.ts'

/** What carriers have told us and we could make nothing of; to all but operators it is not there. */
export const receiptRoutes: FastifyPluginAsyncTypebox = async (app) => {
  useOperatorsOnly(app)

  app.get(
    '/connections/:connection_id/orphan_receipts',
    {
      schema: {
        operationId: 'listOrphanReceipts',
        summary: 'List the receipts that no text explains, newest first',
        description:
          'A receipt whose id we do not know is matched for a day, by what else it tells; then it is listed here, for a month. Many of them mean that ids are spelt otherwise than `receipt_id_form` says, or that somebody else sends over the same account.',
        tags: ['Connections'],
        'x-extension': true,
        params: Type.Object({ connection_id: ConnectionIdParam }),
        querystring: PageQuery,
        response: {
          200: OrphanPage,
          404: errorResponse('No such connection, or the account is not an operator.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const page = pageFrom(req.query)
      const found = await getOrphanPage(app.rt.db, req.params.connection_id, page)
      return presentPage('orphan_receipts', page, found, (orphan) => presentOrphan(orphan, req.account.timeZone))
    },
  )
}
