/** Thrown instead of a call while the breaker is open. */
export class CircuitOpen extends Error {
  constructor() {
    super('circuit open after repeated failures')
    this.name = 'CircuitOpen'
  }
}

export type BreakerOptions = {
  /** Consecutive failures that open the breaker. */
  failures: number
  /** Time for which the breaker stays open. */
  pauseMs: number
  /** A monotonic clock in milliseconds; performance.now() by default. */
  now?: () => number
}

/**
 * Avoids calls to a service that does not respond: after consecutive failures it rejects calls immediately, and after the
 * pause it allows one trial call.
 */
export class CircuitBreaker {
  readonly #options: BreakerOptions
  readonly #now: () => number
  #failed = 0
  #openUntil = 0
  #isTrial = false

  constructor(options: BreakerOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** Runs the work and returns its result; throws CircuitOpen while open. Errors of the work count as failures. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const wasOpen = this.#failed >= this.#options.failures
    if (wasOpen && (this.#isTrial || this.#now() < this.#openUntil)) throw new CircuitOpen()
    this.#isTrial = wasOpen
    try {
      const result = await work()
      this.#failed = 0
      return result
    } catch (error) {
      this.#failed += 1
      this.#openUntil = this.#now() + this.#options.pauseMs
      throw error
    } finally {
      if (wasOpen) this.#isTrial = false
    }
  }
}
