import type { CapSet } from '../caps/caps.ts'
import { timing } from '../timing.ts'

const { lateArrivalMaxMs, tokenReturnMs } = timing

/** Network jitter for which the return of tokens already allows. */
const jitterMs = tokenReturnMs - 1_000

/**
 * Detects texts that reached the carrier late, from responses that took longer than usual. The carrier may count these texts,
 * and those written right after them, in a later second than we do.
 */
export class LateArrivals {
  // a running estimate of the median response time
  #usualResponseMs: number | undefined

  /** Notes one response and, if it was late, reports the bunch of writes to the caps. */
  note(writtenAt: number, respondedAt: number, caps: CapSet): void {
    const responseMs = respondedAt - writtenAt
    this.#usualResponseMs ??= responseMs
    const lateMs = Math.min(responseMs - this.#usualResponseMs, lateArrivalMaxMs)
    this.#usualResponseMs += Math.sign(lateMs) * (0.05 + this.#usualResponseMs / 200)
    if (lateMs > jitterMs) caps.noteBunch(writtenAt, writtenAt + lateMs)
  }
}
