import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ListIdParam } from './lists.schema.ts'
import {
  OptInSettingsBody,
  OptInSettingsResponse,
  presentOptInRequest,
  readOptInSettings,
} from './opt-in-settings.schema.ts'
import { changeOptInSettings } from './opt-in-settings.ts'

export const optInSettingsRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.put(
    '/lists/:list_id/opt_in_settings',
    {
      schema: {
        operationId: 'configureOptIn',
        summary: 'Set how people opt in',
        description:
          'For double, `opt_in_requests` replaces the stored steps; without it they do not change. A change to single ' +
          'does not delete them.',
        tags: ['Lists'],
        params: Type.Object({ list_id: ListIdParam }),
        body: OptInSettingsBody,
        response: {
          200: OptInSettingsResponse,
          404: errorResponse('No such list on this account.'),
          422: errorResponse('A value is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { id: accountId, timeZone } = req.account
      const list = await changeOptInSettings(app.rt, accountId, req.params.list_id, readOptInSettings(req.body))
      const status = 'Opt in settings updated' as const
      if (list.optInType === 'single') {
        return {
          status,
          opt_in_type: list.optInType,
          first_optin_message: list.firstOptinMessage,
          second_optin_message: list.secondOptinMessage,
        }
      }
      return {
        status,
        opt_in_type: list.optInType,
        opt_in_requests: list.optInRequests.map((request) => presentOptInRequest(request, timeZone)),
      }
    },
  )
}
