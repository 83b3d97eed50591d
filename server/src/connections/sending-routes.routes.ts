import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'
import { useOperatorsOnly } from '../http/auth.ts'
import { commonErrors, errorResponse } from '../http/schema.ts'
import { ShortCodeParam } from '../short-codes/short-codes.schema.ts'
import { changeSendingSettings, getSendingSettings, type SendingSettings } from './sending-routes.ts'

const common = { tags: ['Connections'], 'x-extension': true }
const params = Type.Object({ shortcode: ShortCodeParam })
const notFound = errorResponse('No such short code, or the account is not an operator.')

const Mps = Type.Unsafe<number | null>({
  type: ['integer', 'null'],
  minimum: 1,
  maximum: 100_000,
  description: 'Parts in any second from this short code, over all connections; null for no cap.',
})
const route = {
  connection_id: Type.Integer({ minimum: 1, maximum: 32_767 }),
  tier: Type.Integer({ minimum: 0, maximum: 99, description: 'The lowest tier with a bound connection sends.' }),
  weight: Type.Integer({ minimum: 1, maximum: 1_000, description: 'Its share within the tier.' }),
}

const Body = Type.Object({
  shortcode: Type.Object({
    mps: Type.Optional(Mps),
    routes: Type.Optional(
      Type.Array(
        Type.Object({
          connection_id: route.connection_id,
          tier: Type.Optional(route.tier),
          weight: Type.Optional(route.weight),
        }),
        { maxItems: 100, description: 'In the place of all that it has; none leaves it to those that serve all.' },
      ),
    ),
  }),
})

const Answer = Type.Object({
  status: Type.Literal('OK'),
  shortcode: Type.String(),
  mps: Mps,
  routes: Type.Array(Type.Object({ ...route, connection_name: Type.String() }, { title: 'Route' })),
})

/** Through which connections a short code sends; to all but operators these are not there. */
export const sendingRouteRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { rt } = app
  useOperatorsOnly(app)

  app.get(
    '/shortcodes/:shortcode/routes',
    {
      schema: {
        operationId: 'getShortcodeRoutes',
        summary: 'Show through which connections a short code sends',
        description: 'Without routes of its own it sends through the connections that serve all.',
        ...common,
        params,
        response: { 200: Answer, 404: notFound, ...commonErrors },
      },
    },
    async (req) => present(req.params.shortcode, await getSendingSettings(rt.db, req.params.shortcode)),
  )

  app.put(
    '/shortcodes/:shortcode/routes',
    {
      schema: {
        operationId: 'updateShortcodeRoutes',
        summary: 'Change through which connections a short code sends',
        description: 'Only the keys present change. Gateways follow within a second.',
        ...common,
        params,
        body: Body,
        response: { 200: Answer, 404: notFound, 422: errorResponse('A value is not acceptable.'), ...commonErrors },
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

function present(shortcode: string, { mps, routes }: SendingSettings): Static<typeof Answer> {
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
