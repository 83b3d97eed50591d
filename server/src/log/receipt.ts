import type { DeliveryStatus } from '../connections/status-map.ts'
import type { CarrierOptOut } from '../subscribers/clean.sql.ts'

/** A receipt read as far as the log needs it. */
export type AppliedReceipt = DeliveryStatus & {
  smscId: string
  carrierStatus: string
  /** The handset, and who sent to it; some carriers have the two the other way round. Null when it is no number. */
  phone: number | null
  shortCode: string
}

/**
 * What came of a batch of receipts, by the places in it (from 1): whose text is known, whose text is known but not all of it
 * is answered yet; and who has opted out at the carrier.
 */
export type Applied = { known: number[]; early: number[]; optOuts: CarrierOptOut[] }
