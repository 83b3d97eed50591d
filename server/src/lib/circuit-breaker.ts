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

/** Maximum number of callers of whom failures are counted; beyond it, those of the one whose last call is the oldest are forgotten. */
const maxCallers = 1_000

/** A breaker for each caller of one service, so that requests of one caller that fail stop no calls for others. */
export class CircuitBreakers<Caller> {
  readonly #options: BreakerOptions
  /** Those with failures or running calls, in the order of their last call. */
  readonly #breakers = new Map<Caller, CircuitBreaker>()

  constructor(options: BreakerOptions) {
    this.#options = options
  }

  /** Runs the work for a caller and returns its result; throws CircuitOpen while the caller's breaker is open. */
  async run<T>(caller: Caller, work: () => Promise<T>): Promise<T> {
    const breaker = this.#breakers.get(caller) ?? new CircuitBreaker(this.#options)
    // a concurrent call must count its failure in the same breaker
    this.#renew(caller, breaker)
    const result = await breaker.run(work)
    this.#breakers.delete(caller)
    return result
  }

  #renew(caller: Caller, breaker: CircuitBreaker): void {
    this.#breakers.delete(caller)
    this.#breakers.set(caller, breaker)
    const [oldest] = this.#breakers.keys()
    if (oldest !== undefined && this.#breakers.size > maxCallers) this.#breakers.delete(oldest)
  }
}
