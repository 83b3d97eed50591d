import { type Static, Type } from 'typebox'
import type { SendingRoute } from './sending-routes.queries.ts'
import type { SendingSettings } from './sending-routes.ts'

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
    description: 'Texts are sent through the lowest tier that has a bound connection.',
  }),
  weight: Type.Integer({
    minimum: 1,
    maximum: 1_000,
    description: 'Share of the texts within the tier, relative to the other weights.',
  }),
}

export const SendingSettingsBody = Type.Object({
  shortcode: Type.Object(
    {
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
    },
    { title: 'SendingSettingsChange' },
  ),
})

export const SendingSettingsResponse = Type.Object({
  status: Type.Literal('OK'),
  shortcode: Type.String(),
  mps: Mps,
  routes: Type.Array(Type.Object({ ...sendingRoute, connection_name: Type.String() }, { title: 'SendingRoute' })),
})

/** Returns the sending settings of a short code as the API presents them. */
export function presentSendingSettings(
  shortcode: string,
  { mps, routes }: SendingSettings,
): Static<typeof SendingSettingsResponse> {
  return { status: 'OK', shortcode, mps, routes: presentSendingRoutes(routes) }
}

/** Returns sending routes as the API and the CLI present them. */
export function presentSendingRoutes(routes: SendingRoute[]) {
  return routes.map(({ connectionId, name, tier, weight }) => ({
    connection_id: connectionId,
    connection_name: name,
    tier,
    weight,
  }))
}
