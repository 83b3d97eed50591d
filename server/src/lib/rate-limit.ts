/** Maximum number of calls in any window of this length. */
export type RateLimit = { calls: number; windowMs: number }

const maxCalls = 1_000_000
const maxSeconds = 3_600

export const rateLimitFormat = `calls/seconds, such as 100/60, with up to ${maxCalls} calls in up to ${maxSeconds} seconds, or off`

/** Parses `100/60` (calls and seconds) or `off`; returns undefined for any other string. */
export function parseRateLimit(text: string): RateLimit | 'off' | undefined {
  if (text === 'off') return 'off'
  const [, calls, seconds] = /^([1-9][0-9]{0,6})\/([1-9][0-9]{0,3})$/.exec(text) ?? []
  if (calls === undefined || Number(calls) > maxCalls || Number(seconds) > maxSeconds) return undefined
  return { calls: Number(calls), windowMs: Number(seconds) * 1_000 }
}

/** Returns whether a limit allows at most as many calls as `bound`, averaged over time. */
export function isWithin(limit: RateLimit | 'off', bound: RateLimit | 'off'): boolean {
  if (bound === 'off') return true
  return limit !== 'off' && limit.calls / limit.windowMs <= bound.calls / bound.windowMs
}

const slotCount = 60

/** Counts calls in a sliding window of sixty slots; it is exact to one slot and uses constant memory. */
export class SlidingCounter {
  readonly limit: RateLimit
  readonly #slotMs: number
  readonly #counts: number[] = Array(slotCount).fill(0)
  #newest = 0
  #sum = 0

  constructor(limit: RateLimit) {
    this.limit = limit
    this.#slotMs = limit.windowMs / slotCount
  }

  /** Number of calls allowed now. */
  get left(): number {
    return this.limit.calls - this.#sum
  }

  /** Returns the milliseconds until a call is allowed; 0 if it is allowed now. */
  waitMs(nowMs: number): number {
    this.#forget(Math.floor(nowMs / this.#slotMs))
    return this.#sum >= this.limit.calls ? this.nextCallInMs(nowMs) : 0
  }

  /** Counts a call and returns 0, or returns the milliseconds until the next call is allowed. */
  take(nowMs: number): number {
    const slot = Math.floor(nowMs / this.#slotMs)
    this.#forget(slot)
    if (this.#sum >= this.limit.calls) return this.nextCallInMs(nowMs)
    this.#counts[slot % slotCount] = (this.#counts[slot % slotCount] ?? 0) + 1
    this.#sum += 1
    return 0
  }

  /** Returns the milliseconds until the window no longer includes its oldest calls. */
  nextCallInMs(nowMs: number): number {
    for (let age = slotCount - 1; age >= 0; age -= 1) {
      const slot = this.#newest - age
      if (slot >= 0 && this.#counts[slot % slotCount]) return (slot + slotCount) * this.#slotMs - nowMs
    }
    return this.#slotMs
  }

  #forget(slot: number) {
    const expired = Math.min(slot - this.#newest, slotCount)
    for (let i = 1; i <= expired; i += 1) {
      const index = (this.#newest + i) % slotCount
      this.#sum -= this.#counts[index] ?? 0
      this.#counts[index] = 0
    }
    this.#newest = Math.max(slot, this.#newest)
  }
}
