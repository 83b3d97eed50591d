/** What a look-up says of a number's line; null is what it does not say. */
export type Line = {
  kind: 'mobile' | 'landline' | 'voip' | 'toll_free' | 'unreachable' | 'unknown'
  carrier: number | null
  carrierName: string | null
  /** Whether the number moved to this carrier from another. */
  ported: boolean | null
  globalCarrierId: string | null
  globalCarrierName: string | null
}
