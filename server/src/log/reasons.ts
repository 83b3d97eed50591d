import type { BounceReason } from '../connections/status-map.ts'

/** Why a text was not handed to a carrier: the reasons of a suppressed row. */
export const suppressionReasons = [
  'opted_out',
  'stopped',
  'not_subscribed',
  'too_late',
  'too_long',
  'no_window',
  'blank',
] as const
export type SuppressionReason = (typeof suppressionReasons)[number]

// a record, because the compiler checks that it has all of them
const bounceReasons: Record<BounceReason, true> = { hard: true, soft: true, blocked: true, opted_out: true }

/** Every reason of a log row: of a suppressed one, of one that bounced or expired by its receipt, or expired without one. */
export const reasons = [...new Set([...Object.keys(bounceReasons), ...suppressionReasons, 'no_receipt'])]
