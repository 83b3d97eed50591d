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

/** The rates of parts; accounts that are not operators get a 404. */
export const rateRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  useOperatorsOnly(app)

  app.get(
    '/rates',
    {
      schema: {
        operationId: 'listRates',
        summary: 'List rates',
        description: 'Rates for all accounts first, then by account; the latest rate of each kind first.',
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
        summary: 'Set the price of a part from a given day',
        description:
          "An account's own rate takes precedence over a rate for all accounts, then a carrier's rate over a rate for all " +
          'carriers, then the latest rate whose first day is not after the day on which the message was accepted. A second ' +
          'rate of the same kind for the same day replaces the first.',
        ...common,
        body: RateBody,
        response: {
          201: RateResponse,
          404: notAnOperator,
          422: errorResponse('A value is invalid.'),
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
        summary: 'Delete a rate that was set by mistake',
        description: 'For a new price, set another rate with its own first day. Computed bills do not change.',
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
