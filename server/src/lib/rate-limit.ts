/** So many calls in any window of this length. */
export type RateLimit = { calls: number; windowMs: number }

const maxCalls = 1_000_000
const maxSeconds = 3_600

export const rateLimitFormat = `calls/seconds, such as 100/60, with up to ${maxCalls} calls in up to ${maxSeconds} seconds, or off`

/** Reads `100/60` (calls and seconds) or `off`; undefined when it is neither. */
export function parseRateLimit(text: string): RateLimit | 'off' | undefined {
  if (text === 'off') return 'off'
  const [, calls, seconds] = /^([1-9][0-9]{0,6})\/([1-9][0-9]{0,3})$/.exec(text) ?? []
  if (calls === undefined || Number(calls) > maxCalls || Number(seconds) > maxSeconds) return undefined
  return { calls: Number(calls), windowMs: Number(seconds) * 1_000 }
}

/** Whether a limit lets no more through than the other one, in the long run. */
export function isWithin(limit: RateLimit | 'off', bound: RateLimit | 'off'): boolean {
  if (bound === 'off') return true
  return limit !== 'off' && limit.calls / limit.windowMs <= bound.calls / bound.windowMs
}

const slotCount = 60

/** Counts calls in a sliding window of sixty slots: exact to one slot, and no larger for a busy key. */
export class SlidingCounter {
  readonly #limit: RateLimit
  readonly #slotMs: number
  readonly #counts: number[] = Array(slotCount).fill(0)
  #newest = 0
  #sum = 0

  constructor(limit: RateLimit) {
    this.#limit = limit
    this.#slotMs = limit.windowMs / slotCount
  }

  /** Calls that are left right now. */
  get left(): number {
    return this.#limit.calls - this.#sum
  }

  /** Takes one call and answers 0, or answers in how many milliseconds the next one is free. */
  take(nowMs: number): number {
    const slot = Math.floor(nowMs / this.#slotMs)
    this.#forget(slot)
    if (this.#sum >= this.#limit.calls) return this.untilOneIsBack(nowMs)
    this.#counts[slot % slotCount] = (this.#counts[slot % slotCount] ?? 0) + 1
    this.#sum += 1
    return 0
  }

  /** In how many milliseconds the oldest calls leave the window. */
  untilOneIsBack(nowMs: number): number {
    for (let age = slotCount - 1; age >= 0; age -= 1) {
      const slot = this.#newest - age
      if (slot >= 0 && this.#counts[slot % slotCount]) return (slot + slotCount) * this.#slotMs - nowMs
    }
    return this.#slotMs
  }

  #forget(slot: number) {
    const gone = Math.min(slot - this.#newest, slotCount)
    for (let i = 1; i <= gone; i += 1) {
      const index = (this.#newest + i) % slotCount
      this.#sum -= this.#counts[index] ?? 0
      this.#counts[index] = 0
    }
    this.#newest = Math.max(slot, this.#newest)
  }
}
