import type { Db } from '../db/db.ts'
import { wake } from '../db/wake.ts'
import { errors } from '../errors.ts'
import {
  findAnyShortCode,
  listSendingRoutes,
  lockConnections,
  lockShortCode,
  replaceSendingRoutes,
  type SendingRoute,
  setShortCodeMps,
} from './sending-routes.queries.ts'

/** How a short code sends: through which connections, and how fast over all of them. */
export type SendingSettings = { mps: number | null; routes: SendingRoute[] }

export type SendingSettingsChange = {
  mps?: number | null | undefined
  routes?: Pick<SendingRoute, 'connectionId' | 'tier' | 'weight'>[] | undefined
}

/** How a short code of any account sends; without routes it uses the connections that serve all. */
export async function getSendingSettings(db: Db, code: string): Promise<SendingSettings> {
  const shortCode = await findAnyShortCode(db, code)
  if (!shortCode) throw errors.shortCodeNotFound()
  return { mps: shortCode.mps, routes: await listSendingRoutes(db, shortCode.id) }
}

/** Changes how a short code sends, for all gateways within a second; `routes` takes the place of all that it had. */
export async function changeSendingSettings(
  db: Db,
  code: string,
  { mps, routes }: SendingSettingsChange,
): Promise<SendingSettings> {
  return db.tx(async (tx) => {
    const shortCode = await lockShortCode(tx, code)
    if (!shortCode) throw errors.shortCodeNotFound()
    if (mps !== undefined) await setShortCodeMps(tx, shortCode.id, mps)
    if (routes !== undefined) {
      const ids = new Set(routes.map(({ connectionId }) => connectionId))
      if (ids.size < routes.length) throw errors.invalid({ 'shortcode.routes': ['name a connection twice'] })
      const known = new Set(await lockConnections(tx, [...ids]))
      const missing = [...ids].filter((id) => !known.has(id))
      if (missing.length > 0)
        throw errors.invalid({ 'shortcode.routes': [`name connections that do not exist: ${missing.join(', ')}`] })
      await replaceSendingRoutes(tx, shortCode.id, routes)
    }
    await wake(tx, 'connections')
    return { mps: mps === undefined ? shortCode.mps : mps, routes: await listSendingRoutes(tx, shortCode.id) }
  })
}
