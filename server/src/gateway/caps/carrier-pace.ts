import { timing } from '../timing.ts'

const { paceForgottenMs, paceIntervalMs, paceTrustedMs, throttleStormMs } = timing
/** Refusals that are a smaller part of all answers are their texts' own misfortune, and not our pace. */
const partOfPace = 0.1
/** Fewer than this in a second tell of the pace only where they are half of all answers, and one never does. */
const fewRefusals = 5
/** What is left of the rate that a carrier took when it says that it was too much. */
const cut = 0.8
/** How much of the rate is added each second; after so long without a refusal, more each second. */
const growthPerSecond = 0.05

/**
 * Keeps a line at the pace that its carrier takes: when it answers more than a few texts with ESME_RTHROTTLED or
 * ESME_RMSGQFUL, the rate is cut below what was accepted in the last second, and from there it grows until the next time.
 */
export class CarrierPace {
  #perSecond = Number.POSITIVE_INFINITY
  #tokens = 0
  #filledAt = 0
  #refusedAt = Number.NEGATIVE_INFINITY
  #cutAt = Number.NEGATIVE_INFINITY
  // answers in this half of a second, and in the one before
  #half = 0
  #accepted = 0
  #acceptedBefore = 0
  #refused = 0
  #refusedBefore = 0

  /** Submits a second; infinity while nothing slows us down. */
  get perSecond(): number {
    return this.#perSecond
  }

  /** Submits that may ever leave at a stroke. */
  get burst(): number {
    // a fifth of a second's worth, for marks of more than one text
    return Math.max(1, this.#perSecond / 5)
  }

  accepted(now: number): void {
    this.#roll(now)
    this.#accepted++
  }

  throttled(now: number): void {
    this.#roll(now)
    this.#refused++
    const taken = this.#accepted + this.#acceptedBefore
    const refused = this.#refused + this.#refusedBefore
    const part = refused / (taken + refused)
    if (part < partOfPace || refused < 2 || (refused < fewRefusals && part < 0.5)) return
    this.#refusedAt = now
    if (now - this.#cutAt < throttleStormMs) return
    this.#fill(now)
    this.#perSecond = Math.max(1, cut * Math.min(this.#perSecond, Math.max(1, taken)))
    this.#tokens = 0
    this.#filledAt = now
    this.#cutAt = now
  }

  /** Submits that may leave now. */
  free(now: number): number {
    if (this.#perSecond === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY
    if (now - this.#refusedAt > paceForgottenMs) {
      this.#perSecond = Number.POSITIVE_INFINITY
      return Number.POSITIVE_INFINITY
    }
    this.#fill(now)
    return Math.floor(this.#tokens)
  }

  /** When the next submit may leave. */
  freeAt(now: number): number {
    if (this.free(now) > 0) return now
    return now + ((1 - this.#tokens) * 1_000) / this.#perSecond
  }

  take(submits: number): void {
    this.#tokens -= submits
  }

  /** Takes back what was taken and did not leave. */
  giveBack(submits: number): void {
    this.#tokens += submits
  }

  #fill(now: number): void {
    if (this.#perSecond === Number.POSITIVE_INFINITY) return
    const seconds = (now - this.#filledAt) / 1_000
    this.#filledAt = now
    const trust = Math.max(1, (now - this.#refusedAt - paceTrustedMs) / paceIntervalMs)
    this.#perSecond *= 1 + growthPerSecond * seconds * trust
    this.#tokens = Math.min(this.#tokens + this.#perSecond * seconds, this.burst)
  }

  #roll(now: number): void {
    const half = Math.floor(now / paceIntervalMs)
    if (half === this.#half) return
    const isNext = half === this.#half + 1
    this.#acceptedBefore = isNext ? this.#accepted : 0
    this.#refusedBefore = isNext ? this.#refused : 0
    this.#accepted = 0
    this.#refused = 0
    this.#half = half
  }
}
