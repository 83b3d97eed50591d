import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { useOperatorsOnly } from '../http/auth.ts'
import { PageQuery, pageFrom, presentPage } from '../http/pagination.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { utcDay } from '../lib/clock.ts'
import { presentRate, RateBody, RateIdParam, RatePage, RateRemoved, RateResponse, readRate } from './rates.schema.ts'
import { getRatePage, removeRate, setRate } from './rates.ts'

const common = { tags: ['Rates'], 'x-extension': true }
const notAnOperator = errorResponse('The account is not an operator.')

/** What a part costs, to whom; to all but operators these are not there. */
export const rateRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  useOperatorsOnly(app)

  app.get(
    '/rates',
    {
      schema: {
        operationId: 'listRates',
        summary: 'List what a part costs',
        description: "Everybody's first, then by account; of each kind the latest first.",
        ...common,
        querystring: PageQuery,
        response: { 200: RatePage, 404: notAnOperator, ...commonErrors },
      },
    },
    async (req) => {
      const page = pageFrom(req.query)
      return presentPage('rates', page, await getRatePage(rt.db, page), presentRate)
    },
  )

  app.post(
    '/rates',
    {
      schema: {
        operationId: 'setRate',
        summary: 'Say what one part of a text costs from a day on',
        description:
          "An account's own rate comes before everybody's, a carrier's before any carrier's, and of those the latest that " +
          'had begun when the message was accepted. The same again corrects what was said of that day.',
        ...common,
        body: RateBody,
        response: {
          201: RateResponse,
          404: notAnOperator,
          422: errorResponse('A value is not acceptable.'),
          ...commonErrors,
        },
      },
    },
    async (req, reply) => {
      const rate = await setRate(rt.db, readRate(req.body, utcDay(rt.clock.now())))
      reply.code(201)
      return { status: 'Rate set' as const, rate: presentRate(rate) }
    },
  )

  app.delete(
    '/rates/:rate_id',
    {
      schema: {
        operationId: 'removeRate',
        summary: 'Take a rate back that should never have been',
        description:
          'A new price is another rate, with its own first day. Messages that have been reckoned stay as they are.',
        ...common,
        params: Type.Object({ rate_id: RateIdParam }),
        response: {
          200: RateRemoved,
          404: errorResponse('No such rate, or the account is not an operator.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      await removeRate(rt.db, req.params.rate_id)
      return { status: 'Rate removed' as const }
    },
  )
}
