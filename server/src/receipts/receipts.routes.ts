import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { ConnectionIdParam } from '../connections/connections.schema.ts'
import { useOperatorsOnly } from '../http/auth.ts'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { getOrphanPage } from './orphans.ts'
import { OrphanPage, presentOrphan } from './receipts.schema.ts'

/** The route of orphan receipts; it responds 404 to accounts that are not operators. */
export const receiptRoutes: FastifyPluginAsyncTypebox = async (app) => {
  useOperatorsOnly(app)

  app.get(
    '/connections/:connection_id/orphan_receipts',
    {
      schema: {
        operationId: 'listOrphanReceipts',
        summary: 'List the receipts that match no text, latest first',
        description:
          'For a day, Carillon tries to match a receipt with an unknown id by its other fields. Then the receipt is listed here for a month. A receipt without a state, or with an unknown one, is listed immediately. Many such receipts mean that ids are spelled differently from `receipt_id_form`, or that another system sends over the same account.',
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
