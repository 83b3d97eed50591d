/**
 * A cap on PDUs a second, exact by the times of our own writes: in no sliding second are there more than `mps`. What is
 * reserved counts as if it were written now, so that whoever holds a token may use it whenever he is ready.
 */
export class Rate {
  readonly mps: number
  readonly #times: Float64Array
  #next = 0
  #oldest = 0
  #written = 0
  #reserved = 0

  constructor(mps: number | undefined) {
    this.mps = mps ?? Number.POSITIVE_INFINITY
    this.#times = new Float64Array(mps ?? 0)
  }

  /** Tokens that may be reserved at this time (milliseconds, monotonic). */
  free(now: number): number {
    if (this.#times.length === 0) return Number.POSITIVE_INFINITY
    while (this.#written > 0 && (this.#times[this.#oldest] ?? 0) <= now - 1_000) {
      this.#oldest = (this.#oldest + 1) % this.#times.length
      this.#written--
    }
    return this.mps - this.#written - this.#reserved
  }

  reserve(tokens: number): void {
    this.#reserved += tokens
  }

  /** Gives back tokens that were not used. */
  release(tokens: number): void {
    this.#reserved -= tokens
  }

  /** One reserved token is used now. */
  use(now: number): void {
    this.#reserved--
    if (this.#times.length === 0) return
    this.#times[this.#next] = now
    this.#next = (this.#next + 1) % this.#times.length
    this.#written++
  }
}
