import type { Db } from '../db/db.ts'
import { findShortCodeLists } from '../inbound/destinations.queries.ts'
import { optOutOfShortCode } from '../opt-ins/opt-out.ts'
import type { CarrierOptOut } from '../subscribers/clean.sql.ts'

/** Maximum opt-outs per transaction: each takes several statements, and all their locks last until the commit. */
const batchSize = 20

/** Separates the results that report an opt-out from the others, and splits them into batches for one transaction each. */
export function splitOptOuts<T extends { reason: string | null }>(all: T[]): { others: T[]; optOuts: T[][] } {
  const others = all.filter(({ reason }) => reason !== 'opted_out')
  const optedOut = all.filter(({ reason }) => reason === 'opted_out')
  const optOuts: T[][] = []
  for (let from = 0; from < optedOut.length; from += batchSize) optOuts.push(optedOut.slice(from, from + batchSize))
  return { others, optOuts }
}

/**
 * Opts numbers out of short codes because the carrier has an opt-out on record, like a STOP would. No confirmation is sent,
 * because the carrier would not deliver it. Must run in the transaction that records the bounces.
 */
export async function optOutByCarrier(tx: Db, optOuts: CarrierOptOut[], at: Date): Promise<void> {
  for (const [shortCode, ofCode] of Map.groupBy(optOuts, (each) => each.shortCode)) {
    const code = await findShortCodeLists(tx, shortCode)
    if (!code) continue
    // one opt-out per number, even if several texts to it bounced
    const byPhone = new Map(ofCode.map((each) => [each.phone, each]))
    const senders = [...byPhone.values()].map(({ phone, carrierStatus, logId }) => {
      return { phone, wording: carrierStatus, actor: `mt:${logId}` }
    })
    await optOutOfShortCode(tx, code, { senders, method: 'carrier', at })
  }
}
