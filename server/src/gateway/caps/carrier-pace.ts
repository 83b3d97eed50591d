import { timing } from '../timing.ts'

const { paceForgottenMs, paceIntervalMs, paceTrustedMs, throttleStormMs } = timing
/** Throttled texts that are a smaller part of all responses do not cut the pace. */
const partOfPace = 0.1
/** Fewer throttled texts than this in a second cut the pace only where they are half of all responses; a single one never does. */
const fewRefusals = 5
/** The pace after a cut, as a part of what was accepted in the last second. */
const cut = 0.8
/** Growth of the pace in each second; more without throttling for a while. */
const growthPerSecond = 0.05

/**
 * Keeps a bind group at the pace that its carrier accepts: when it answers more than a few texts with ESME_RTHROTTLED or
 * ESME_RMSGQFUL, the pace is cut below what was accepted in the last second, and grows from there until the next time.
 */
export class CarrierPace {
  #perSecond = Number.POSITIVE_INFINITY
  #tokens = 0
  #filledAt = 0
  #refusedAt = Number.NEGATIVE_INFINITY
  #cutAt = Number.NEGATIVE_INFINITY
  // responses in this half of a second, and in the one before
  #half = 0
  #accepted = 0
  #acceptedBefore = 0
  #refused = 0
  #refusedBefore = 0

  /** Texts a second; infinity without a limit. */
  get perSecond(): number {
    return this.#perSecond
  }

  /** Texts that may ever be written at once. */
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

  /** Texts that may be written now. */
  free(now: number): number {
    if (this.#perSecond === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY
    if (now - this.#refusedAt > paceForgottenMs) {
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

  take(submits: number): void {
    this.#tokens -= submits
  }

  /** Gives back what was taken and not written. */
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
