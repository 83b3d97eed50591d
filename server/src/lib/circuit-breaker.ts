/** Thrown in the place of a call that a breaker holds back. */
export class CircuitOpen extends Error {
  constructor() {
    super('not asked, because the last calls failed')
    this.name = 'CircuitOpen'
  }
}

export type BreakerOptions = {
  /** Failures in a row that open it. */
  failures: number
  /** How long it stays open. */
  pauseMs: number
  /** A clock that only goes forward; the machine's by default. */
  now?: () => number
}

/**
 * Keeps us from asking somebody who does not answer: after so many failures in a row it refuses at once, and when its
 * pause is over it lets one call through to see.
 */
export class CircuitBreaker {
  readonly #options: BreakerOptions
  readonly #now: () => number
  #failed = 0
  #openUntil = 0
  #isTrying = false

  constructor(options: BreakerOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** Does the work, or throws CircuitOpen; what the work throws counts as a failure and comes through. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const wasOpen = this.#failed >= this.#options.failures
    if (wasOpen && (this.#isTrying || this.#now() < this.#openUntil)) throw new CircuitOpen()
    this.#isTrying = wasOpen
    try {
      const result = await work()
      this.#failed = 0
      return result
    } catch (error) {
      this.#failed += 1
      this.#openUntil = this.#now() + this.#options.pauseMs
      throw error
    } finally {
      if (wasOpen) this.#isTrying = false
    }
  }
}
