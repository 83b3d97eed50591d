import type { Db } from '../db/db.ts'
import { findShortCodeLists } from '../inbound/inbound.queries.ts'
import type { CarrierOptOut } from '../opt-ins/clean.sql.ts'
import { leaveShortCode } from '../opt-ins/opt-out.ts'

/**
 * Opts numbers out of the short codes whose texts the carrier did not deliver for that reason, as a STOP would; nothing is
 * confirmed, because nothing can be. Belongs into the transaction that records the bounces, so that none is forgotten.
 */
export async function optOutByCarrier(tx: Db, optOuts: CarrierOptOut[], at: Date): Promise<void> {
  for (const [shortCode, ofCode] of Map.groupBy(optOuts, (each) => each.shortCode)) {
    const code = await findShortCodeLists(tx, shortCode)
    if (!code) continue
    // a number of which two texts failed for that reason leaves once
    const byPhone = new Map(ofCode.map((each) => [each.phone, each]))
    const leavers = [...byPhone.values()].map(({ phone, carrierStatus, logId }) => {
      return { phone, wording: carrierStatus, actor: `mt:${logId}` }
    })
    await leaveShortCode(tx, code, { leavers, method: 'carrier', at })
  }
}
