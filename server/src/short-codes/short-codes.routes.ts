import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { commonErrors } from '../http/schema.ts'
import { listShortCodes } from './short-codes.queries.ts'
import { ShortCodesResponse } from './short-codes.schema.ts'

export const shortCodeRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/shortcodes',
    {
      schema: {
        operationId: 'listShortcodes',
        summary: 'List the short codes of the account',
        description: 'All numbers from which lists of the account can send.',
        tags: ['Short codes'],
        response: { 200: ShortCodesResponse, ...commonErrors },
      },
    },
    async (req) => {
      const shortCodes = await listShortCodes(app.rt.db, req.account.id)
      return { status: 'OK' as const, shortcodes: shortCodes.map(({ code }) => code) }
    },
  )
}
