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

/** A short code's sending routes, and its cap over all of them in parts per second. */
export type SendingSettings = { mps: number | null; routes: SendingRoute[] }

export type SendingSettingsChange = {
  mps?: number | null | undefined
  routes?: Pick<SendingRoute, 'connectionId' | 'tier' | 'weight'>[] | undefined
}

/** Returns the sending settings of a short code of any account; throws a 404 if the short code does not exist. */
export async function getSendingSettings(db: Db, code: string): Promise<SendingSettings> {
  const shortCode = await findAnyShortCode(db, code)
  if (!shortCode) throw errors.shortCodeNotFound()
  return { mps: shortCode.mps, routes: await listSendingRoutes(db, shortCode.id) }
}

/**
 * Changes the sending settings of a short code and returns them; gateways apply them within a second. `routes` replaces
 * all existing routes. Throws a 404 if the short code does not exist, and a 422 if a connection does not exist or is listed
 * twice.
 */
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
      const ids = routes.map(({ connectionId }) => connectionId)
      const repeated = ids.find((id, index) => ids.indexOf(id) < index)
      if (repeated !== undefined)
        throw errors.invalid({ 'shortcode.routes': [`must not contain connection ${repeated} twice`] })
      const known = new Set(await lockConnections(tx, ids))
      const missing = ids.filter((id) => !known.has(id))
      if (missing.length > 0)
        throw errors.invalid({ 'shortcode.routes': [`contain connections that do not exist: ${missing.join(', ')}`] })
      await replaceSendingRoutes(tx, shortCode.id, routes)
    }
    await wake(tx, 'connections')
    return { mps: mps === undefined ? shortCode.mps : mps, routes: await listSendingRoutes(tx, shortCode.id) }
  })
}
