// The delays of responses and receipts. DelayLanes has one queue per distinct delay, so the drawn delays have few values.

import { readSmppTime } from '../smpp/pdu/time.ts'
import type { ReceiptState } from './fates.ts'
import type { PendingResponse } from './pending-response.ts'

/** Above this number of overdue receipts, responses slow down by 1 ms per 1,000 receipts, which limits the memory. */
const MAX_OVERDUE_RECEIPTS = 30_000
const MAX_SLOWDOWN_MS = 50
const JITTER_STEPS = 32
const FINE_BELOW_MS = 10_000

/** Returns the additional latency while a client acknowledges receipts more slowly than it submits. */
export function slowdownMs(overdueReceipts: number): number {
  return Math.min(MAX_SLOWDOWN_MS, Math.ceil(Math.max(0, overdueReceipts - MAX_OVERDUE_RECEIPTS) / 1_000))
}

/** Draws one of JITTER_STEPS delays up to `maxMs`. */
export function drawJitter(maxMs: number): number {
  return (Math.floor(Math.random() * (JITTER_STEPS + 1)) * maxMs) / JITTER_STEPS
}

/**
 * Sets the delay of a message's receipt after its response, and returns the message's final state: by its fate, or expired
 * if its validity period ends earlier.
 */
export function setReceiptDelay(
  pending: PendingResponse,
  latencyMs: number,
  receiptDelayMs: number,
): ReceiptState | 'none' {
  const { pdu, fate, submittedAt } = pending
  pending.receiptDelayMs = receiptDelayMs + fate.receiptDelayMs
  if (pdu.validity_period === '' || fate.outcome === 'none') return fate.outcome
  const lifeMs = (readSmppTime(pdu.validity_period, submittedAt) ?? submittedAt) - submittedAt
  if (lifeMs >= latencyMs + pending.receiptDelayMs) return fate.outcome
  pending.receiptDelayMs = roundUp(Math.max(0, lifeMs - latencyMs))
  return 'expired'
}

function roundUp(ms: number): number {
  const step = ms < FINE_BELOW_MS ? 50 : 1_000
  return Math.ceil(ms / step) * step
}
