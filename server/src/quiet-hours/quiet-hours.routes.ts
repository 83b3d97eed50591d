import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { presentQuietHours, QuietHoursBody, QuietHoursResponse, readQuietHoursChange } from './quiet-hours.schema.ts'
import { changeQuietHours, readQuietHours } from './quiet-hours.ts'

const common = { tags: ['Accounts'], 'x-extension': true }

export const quietHoursRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app

  app.get(
    '/quiet_hours',
    {
      schema: {
        ...common,
        operationId: 'getQuietHours',
        summary: 'Get the hours in which people may be texted',
        description:
          'Returns the hours by state, in the local time of the phone, with their source: legal hours from published tables, and ' +
          "the account's own hours. They are not legal advice.",
        response: { 200: QuietHoursResponse, ...commonErrors },
      },
    },
    async (req) => ({
      status: 'OK' as const,
      quiet_hours: presentQuietHours(await readQuietHours(rt.db, req.account.id)),
    }),
  )

  app.put(
    '/quiet_hours',
    {
      schema: {
        ...common,
        operationId: 'updateQuietHours',
        summary: 'Update the quiet hours of the account',
        description:
          'The change also applies to messages that are being sent: a text that waits for its sending window is checked again ' +
          'when that window closes, and a text of an audience that is still being expanded is checked immediately.',
        body: QuietHoursBody,
        response: { 200: QuietHoursResponse, 422: errorResponse('A value is invalid.'), ...commonErrors },
      },
    },
    async (req) => {
      await changeQuietHours(rt, req.account.id, readQuietHoursChange(req.body.quiet_hours))
      return {
        status: 'OK' as const,
        quiet_hours: presentQuietHours(await readQuietHours(rt.db, req.account.id)),
      }
    },
  )
}
