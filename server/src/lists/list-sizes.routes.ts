import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { listSizes } from './list-sizes.queries.ts'
import { maxSizeDays, presentListSize, readSizesPeriod, SizesQuery, SizesResponse } from './list-sizes.schema.ts'
import { ListIdParam } from './lists.schema.ts'
import { getList } from './lists.ts'

export const listSizeRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.get(
    '/lists/:list_id/sizes',
    {
      schema: {
        operationId: 'listSizes',
        summary: 'List the daily sizes of a list',
        description:
          'The number of subscribers in each state at the end of each day, in the time zone of the account: one element per day ' +
          'on which the list existed, up to yesterday. A day that ended while no worker ran may have no counts; `recorded_at` ' +
          'shows when the counts of a day were recorded.',
        tags: ['Lists'],
        'x-extension': true,
        params: Type.Object({ list_id: ListIdParam }),
        querystring: SizesQuery,
        response: {
          200: SizesResponse,
          404: errorResponse('No such list on this account.'),
          422: errorResponse(
            `\`from\` or \`to\` is not a date, or the period is reversed or longer than ${maxSizeDays} days.`,
          ),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { id: accountId, timeZone } = req.account
      const list = await getList(rt.db, accountId, req.params.list_id)
      const now = rt.clock.now()
      const sizes = await listSizes(rt.db, list.id, timeZone, readSizesPeriod(req.query, now, timeZone), now)
      return { status: 'OK' as const, sizes: sizes.map((size) => presentListSize(size, timeZone)) }
    },
  )
}
