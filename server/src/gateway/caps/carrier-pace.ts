import { timing } from '../timing.ts'

const { paceCutIntervalMs, paceIntervalMs, paceResetMs, paceTrustedMs } = timing
/** Minimum share of throttled texts among all responses for a cut of the pace. */
const minThrottledShare = 0.1
/** Fewer throttled texts than this in a second cut the pace only if they are half of all responses; a single one never does. */
const minThrottled = 5
/** The pace after a cut, as a fraction of the texts accepted in the last second. */
const cutFactor = 0.8
/** Relative growth of the pace per second; faster after a while without throttling. */
const growthPerSecond = 0.05

/**
 * Limits a bind group to the pace that its carrier accepts. When the carrier responds to more than a few texts with
 * ESME_RTHROTTLED or ESME_RMSGQFUL, the pace is cut below the number of texts accepted in the last second; from there it grows
 * until the carrier throttles again. All times are in monotonic milliseconds.
 */
export class CarrierPace {
  #perSecond = Number.POSITIVE_INFINITY
  #tokens = 0
  #filledAt = 0
  #throttledAt = Number.NEGATIVE_INFINITY
  #cutAt = Number.NEGATIVE_INFINITY
  // responses in the current interval of half a second, and in the one before
  #interval = 0
  #accepted = 0
  #acceptedBefore = 0
  #throttled = 0
  #throttledBefore = 0

  /** Texts per second; infinity without a limit. */
  get perSecond(): number {
    return this.#perSecond
  }

  /** Maximum number of texts that may be written at one time. */
  get burst(): number {
    // the texts of a fifth of a second, so that a mark can have more than one
    return Math.max(1, this.#perSecond / 5)
  }

  accepted(now: number): void {
    this.#roll(now)
    this.#accepted++
  }

  throttled(now: number): void {
    this.#roll(now)
    this.#throttled++
    const accepted = this.#accepted + this.#acceptedBefore
    const throttled = this.#throttled + this.#throttledBefore
    const share = throttled / (accepted + throttled)
    if (share < minThrottledShare || throttled < 2 || (throttled < minThrottled && share < 0.5)) return
    this.#throttledAt = now
    if (now - this.#cutAt < paceCutIntervalMs) return
    this.#fill(now)
    this.#perSecond = Math.max(1, cutFactor * Math.min(this.#perSecond, Math.max(1, accepted)))
    this.#tokens = 0
    this.#filledAt = now
    this.#cutAt = now
  }

  /** Texts that may be written now. */
  free(now: number): number {
    if (this.#perSecond === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY
    if (now - this.#throttledAt > paceResetMs) {
      this.#perSecond = Number.POSITIVE_INFINITY
      return Number.POSITIVE_INFINITY
    }
    this.#fill(now)
    return Math.floor(this.#tokens)
  }

  /** When the next text may be written. */
  freeAt(now: number): number {
    if (this.free(now) > 0) return now
    return now + ((1 - this.#tokens) * 1_000) / this.#perSecond
  }

  reserve(texts: number): void {
    this.#tokens -= texts
  }

  /** Releases what was reserved for texts that were not written. */
  release(texts: number): void {
    this.#tokens += texts
  }

  #fill(now: number): void {
    if (this.#perSecond === Number.POSITIVE_INFINITY) return
    const seconds = (now - this.#filledAt) / 1_000
    this.#filledAt = now
    const acceleration = Math.max(1, (now - this.#throttledAt - paceTrustedMs) / paceIntervalMs)
    this.#perSecond *= 1 + growthPerSecond * seconds * acceleration
    this.#tokens = Math.min(this.#tokens + this.#perSecond * seconds, this.burst)
  }

  /** Starts a new interval when the current one is over. */
  #roll(now: number): void {
    const interval = Math.floor(now / paceIntervalMs)
    if (interval === this.#interval) return
    const isNext = interval === this.#interval + 1
    this.#acceptedBefore = isNext ? this.#accepted : 0
    this.#throttledBefore = isNext ? this.#throttled : 0
    this.#accepted = 0
    this.#throttled = 0
    this.#interval = interval
  }
}
