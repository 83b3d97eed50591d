import type { Db } from '../db/db.ts'
import { findShortCodeLists } from '../inbound/inbound.queries.ts'
import { optOutOfShortCode } from '../opt-ins/opt-out.ts'
import type { CarrierOptOut } from '../subscribers/clean.sql.ts'

/** Each opt-out takes several statements, and one transaction holds the locks of all of its opt-outs. */
const optOutsAtATime = 20

/** Separates the results that report an opt-out, in batches for one transaction each. */
export function cutOptOuts<T extends { reason: string | null }>(all: T[]): { others: T[]; optOuts: T[][] } {
  const others = all.filter(({ reason }) => reason !== 'opted_out')
  const leaving = all.filter(({ reason }) => reason === 'opted_out')
  const optOuts: T[][] = []
  for (let from = 0; from < leaving.length; from += optOutsAtATime) {
    optOuts.push(leaving.slice(from, from + optOutsAtATime))
  }
  return { others, optOuts }
}

/**
 * Opts numbers out of the short codes whose texts the carrier did not deliver for that reason, as a STOP would; nothing is
 * confirmed, because no text can reach the number. Must run in the transaction that records the bounces.
 */
export async function optOutByCarrier(tx: Db, optOuts: CarrierOptOut[], at: Date): Promise<void> {
  for (const [shortCode, ofCode] of Map.groupBy(optOuts, (each) => each.shortCode)) {
    const code = await findShortCodeLists(tx, shortCode)
    if (!code) continue
    // a number of which two texts failed for that reason leaves once
    const byPhone = new Map(ofCode.map((each) => [each.phone, each]))
    const senders = [...byPhone.values()].map(({ phone, carrierStatus, logId }) => {
      return { phone, wording: carrierStatus, actor: `mt:${logId}` }
    })
    await optOutOfShortCode(tx, code, { senders, method: 'carrier', at })
  }
}
