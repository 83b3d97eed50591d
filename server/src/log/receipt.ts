import type { DeliveryStatus } from '../connections/status-map.ts'
import type { CarrierOptOut } from '../subscribers/clean.sql.ts'

/** The fields of a receipt that the log needs. */
export type AppliedReceipt = DeliveryStatus & {
  smscId: string
  carrierStatus: string
  /** The handset, and who sent to it; some carriers have the two the other way round. Null when it is no number. */
  phone: number | null
  shortCode: string
}

/**
 * The result of a batch of receipts, by their index in it (from 1): those with a known text, those with a known text of
 * which some response is still missing; and the opt-outs that a carrier reported.
 */
export type Applied = { known: number[]; early: number[]; optOuts: CarrierOptOut[] }
