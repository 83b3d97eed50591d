import type { Db } from '../db/db.ts'
import { findShortCodeLists } from '../inbound/inbound.queries.ts'
import type { CarrierOptOut } from '../opt-ins/clean.sql.ts'
import { leaveShortCode } from '../opt-ins/opt-out.ts'

/**
 * Opts numbers out of the short codes whose texts the carrier did not deliver for that reason, as a STOP would; nothing is
 * confirmed, because nothing can be. Belongs into the transaction that records the bounces, so that none is forgotten.
 */
export async function optOutByCarrier(tx: Db, optOuts: CarrierOptOut[], at: Date): Promise<void> {
  // in one order everywhere, so that two batches do not wait for each other in a circle
  const sorted = [...optOuts].sort((a, b) => a.phone - b.phone || a.logId - b.logId)
  for (const { logId, phone, shortCode, carrierStatus } of sorted) {
    const code = await findShortCodeLists(tx, shortCode)
    if (!code) continue
    await leaveShortCode(tx, code, { phone, method: 'carrier', wording: carrierStatus, actor: `mt:${logId}`, at })
  }
}
