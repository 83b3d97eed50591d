import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'
import { useOperatorsOnly } from '../http/auth.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ShortCodeParam } from '../short-codes/short-codes.schema.ts'
import { changeSendingSettings, getSendingSettings, type SendingSettings } from './sending-routes.ts'

const common = { tags: ['Connections'], 'x-extension': true }
const params = Type.Object({ shortcode: ShortCodeParam })
const notFound = errorResponse('The short code does not exist, or the account is not an operator.')

const Mps = Type.Unsafe<number | null>({
  type: ['integer', 'null'],
  minimum: 1,
  maximum: 100_000,
  description: 'Maximum number of parts per second from this short code over all connections; null means no cap.',
})
const sendingRoute = {
  connection_id: Type.Integer({ minimum: 1, maximum: 32_767 }),
  tier: Type.Integer({
    minimum: 0,
    maximum: 99,
    description: 'Traffic goes to the lowest tier with a bound connection.',
  }),
  weight: Type.Integer({
    minimum: 1,
    maximum: 1_000,
    description: 'Share of the traffic within the tier, relative to the other weights.',
  }),
}

const Body = Type.Object({
  shortcode: Type.Object({
    mps: Type.Optional(Mps),
    routes: Type.Optional(
      Type.Array(
        Type.Object({
          connection_id: sendingRoute.connection_id,
          tier: Type.Optional(sendingRoute.tier),
          weight: Type.Optional(sendingRoute.weight),
        }),
        {
          maxItems: 100,
          description:
            'Replaces all sending routes of the short code; an empty array means the connections that serve all short codes.',
        },
      ),
    ),
  }),
})

const SendingSettingsResponse = Type.Object({
  status: Type.Literal('OK'),
  shortcode: Type.String(),
  mps: Mps,
  routes: Type.Array(Type.Object({ ...sendingRoute, connection_name: Type.String() }, { title: 'SendingRoute' })),
})

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
    async (req) => present(req.params.shortcode, await getSendingSettings(rt.db, req.params.shortcode)),
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
        body: Body,
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
      return present(req.params.shortcode, await changeSendingSettings(rt.db, req.params.shortcode, change))
    },
  )
}

function present(shortcode: string, { mps, routes }: SendingSettings): Static<typeof SendingSettingsResponse> {
  return {
    status: 'OK',
    shortcode,
    mps,
    routes: routes.map(({ connectionId, name, tier, weight }) => ({
      connection_id: connectionId,
      connection_name: name,
      tier,
      weight,
    })),
  }
}
