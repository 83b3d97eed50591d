import type { DeliveryStatus } from '../connections/status-map.ts'
import type { CarrierOptOut } from '../subscribers/clean.sql.ts'

/** The fields of a receipt that the log needs. */
export type AppliedReceipt = DeliveryStatus & {
  smscId: string
  carrierStatus: string
  /** The phone that was texted; null if it is not a phone number. Some carriers swap `phone` and `shortCode`. */
  phone: number | null
  shortCode: string
}

/**
 * The result of a batch of receipts: the indexes (from 1) of those with a known text, the indexes of those whose text
 * still awaits a response, and the opt-outs that a carrier reported.
 */
export type Applied = { known: number[]; early: number[]; optOuts: CarrierOptOut[] }
