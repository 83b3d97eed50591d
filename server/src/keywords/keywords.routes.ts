import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ShortCodeParam } from '../short-codes/short-codes.schema.ts'
import { getShortCode } from '../short-codes/short-codes.ts'
import { findKeywordFault } from './keywords.ts'

const KeywordTestBody = Type.Object({
  keyword_name: Type.String({ maxLength: 100, description: 'The word to test.', examples: ['PANTRY'] }),
})

const KeywordTestResponse = Type.Object({
  status: Type.Literal('OK'),
  keyword_name: Type.Union([Type.Literal('available'), Type.Literal('unavailable')], {
    description: 'The result of the test, not the word itself.',
  }),
  error: Type.Optional(Type.String({ description: 'The reason why it is unavailable.', examples: ['Name is in use'] })),
})

export const keywordRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.post(
    '/shortcodes/:shortcode/test_keyword',
    {
      schema: {
        operationId: 'testKeyword',
        summary: 'Test a keyword',
        description: 'Reports whether a list of this short code can have the word. Nothing is reserved.',
        tags: ['Short codes'],
        params: Type.Object({ shortcode: ShortCodeParam }),
        body: KeywordTestBody,
        response: {
          200: KeywordTestResponse,
          404: errorResponse('No such short code on this account.'),
          422: errorResponse('The word is missing or not a string.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const shortCode = await getShortCode(app.rt.db, req.account.id, req.params.shortcode)
      const error = await findKeywordFault(app.rt.db, shortCode.id, req.body.keyword_name)
      if (error === undefined) return { status: 'OK' as const, keyword_name: 'available' as const }
      return { status: 'OK' as const, keyword_name: 'unavailable' as const, error }
    },
  )
}
