import type { CapSet } from '../caps/caps.ts'
import { timing } from '../timing.ts'

const { lateArrivalMaxMs, tokenReturnMs } = timing

/** Jitter that the return of tokens allows for anyway. */
const jitterMs = tokenReturnMs - 1_000

/**
 * Notices texts that reached the carrier late, by responses that took longer than usual: they, and those written right behind
 * them, may count in a later second of the carrier than in ours.
 */
export class LateArrivals {
  // the median of the times from a text to its response
  #usualTripMs: number | undefined

  note(writtenAt: number, respondedAt: number, caps: CapSet): void {
    const trip = respondedAt - writtenAt
    this.#usualTripMs ??= trip
    const late = Math.min(trip - this.#usualTripMs, lateArrivalMaxMs)
    this.#usualTripMs += Math.sign(late) * (0.05 + this.#usualTripMs / 200)
    if (late > jitterMs) caps.noteBunch(writtenAt, writtenAt + late)
  }
}
