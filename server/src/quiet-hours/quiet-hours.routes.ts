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
        summary: 'Show when people may be texted',
        description:
          'By state: from when to when by the clock where the handset is, and who says so. The law, as far as we know ' +
          "it, and the account's own hours; ask your lawyer about both.",
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
        summary: 'Choose which texts keep to quiet hours, and to which',
        description:
          'Counts for messages that are being sent, too: a text that waits for its window is looked at again when that ' +
          'closes, one whose audience is still being written at once.',
        body: QuietHoursBody,
        response: { 200: QuietHoursResponse, 422: errorResponse('A value is not acceptable.'), ...commonErrors },
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
