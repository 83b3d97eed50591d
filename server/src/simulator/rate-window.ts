/** Allows at most `limit` calls in any sliding second; rejected calls do not count. */
export class RateWindow {
  readonly limit: number
  readonly #times: Float64Array
  #at = 0

  constructor(limit: number) {
    this.limit = limit
    this.#times = new Float64Array(limit).fill(Number.NEGATIVE_INFINITY)
  }

  take(now: number): boolean {
    if (now - (this.#times[this.#at] ?? 0) < 1_000) return false
    this.#times[this.#at] = now
    this.#at = (this.#at + 1) % this.limit
    return true
  }
}
