import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { useOperatorsOnly } from '../http/auth.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ShortCodeParam } from '../short-codes/short-codes.schema.ts'
import { presentSendingSettings, SendingSettingsBody, SendingSettingsResponse } from './sending-routes.schema.ts'
import { changeSendingSettings, getSendingSettings } from './sending-routes.ts'

const common = { tags: ['Connections'], 'x-extension': true }
const params = Type.Object({ shortcode: ShortCodeParam })
const notFound = errorResponse('The short code does not exist, or the account is not an operator.')

/** The sending routes of short codes; accounts that are not operators get 404. */
export const sendingRouteRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  useOperatorsOnly(app)

  app.get(
    '/shortcodes/:shortcode/routes',
    {
      schema: {
        operationId: 'getShortcodeRoutes',
        summary: 'Get the sending routes of a short code',
        description: 'A short code without sending routes sends through the connections that serve all short codes.',
        ...common,
        params,
        response: { 200: SendingSettingsResponse, 404: notFound, ...commonErrors },
      },
    },
    async (req) => presentSendingSettings(req.params.shortcode, await getSendingSettings(rt.db, req.params.shortcode)),
  )

  app.put(
    '/shortcodes/:shortcode/routes',
    {
      schema: {
        operationId: 'updateShortcodeRoutes',
        summary: 'Update the sending routes of a short code',
        description: 'Only the keys in the request change. Gateways apply the change within a second.',
        ...common,
        params,
        body: SendingSettingsBody,
        response: {
          200: SendingSettingsResponse,
          404: notFound,
          422: errorResponse('A value is invalid.'),
          ...commonErrors,
        },
      },
    },
    async (req) => {
      const { mps, routes } = req.body.shortcode
      const change = {
        mps,
        routes: routes?.map(({ connection_id, tier = 0, weight = 1 }) => ({
          connectionId: connection_id,
          tier,
          weight,
        })),
      }
      return presentSendingSettings(
        req.params.shortcode,
        await changeSendingSettings(rt.db, req.params.shortcode, change),
      )
    },
  )
}
