import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { commonErrors, errorResponse } from '../../http/schema.ts'
import {
  AttemptIdParam,
  AttemptPage,
  AttemptResponse,
  AttemptsQuery,
  presentAttempt,
  presentLogPage,
  readAttemptsQuery,
} from './attempts.schema.ts'
import { getAttempt, getLogPage } from './attempts.ts'

const common = { tags: ['Webhooks'], 'x-extension': true }

/** The log of attempts to deliver events. */
export const attemptRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.get(
    '/webhook_attempts',
    {
      schema: {
        ...common,
        operationId: 'listWebhookAttempts',
        summary: 'List attempts to deliver events',
        description:
          'Latest first, of all webhooks of the account. A page may have fewer attempts than `limit`, because a request ' +
          'searches a part of the log; continue until `next_before` is null.',
        querystring: AttemptsQuery,
        response: {
          200: AttemptPage,
          404: errorResponse('No such webhook on this account.'),
          422: errorResponse('A parameter is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const query = readAttemptsQuery(req.query, req.account.id)
      return presentLogPage(await getLogPage(rt.db, query), req.account.timeZone)
    },
  )

  app.get(
    '/webhook_attempts/:attempt_id',
    {
      schema: {
        ...common,
        operationId: 'getWebhookAttempt',
        summary: 'Get an attempt with its request and response',
        description: 'The signature and custom headers of the request are hidden, and so is the query of the URL.',
        params: Type.Object({ attempt_id: AttemptIdParam }),
        response: { 200: AttemptResponse, 404: errorResponse('No such attempt on this account.'), ...commonErrors },
      },
    },
    async (req) => {
      const attempt = await getAttempt(rt.db, req.account.id, req.params.attempt_id)
      return { status: 'OK' as const, attempt: presentAttempt(attempt, req.account.timeZone) }
    },
  )
}
