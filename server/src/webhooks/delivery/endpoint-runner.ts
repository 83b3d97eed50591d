import type { Db } from '../../db/db.ts'
import { ConnectionPool } from '../../lib/connection-pool.ts'
import { SlidingCounter } from '../../lib/rate-limit.ts'
import { attemptDelivery, type Sender } from './attempt.ts'
import { type DeliveryAttempt, type DueDelivery, listDueDeliveries } from './deliveries.queries.ts'
import type { LeasedEndpoint } from './endpoints.queries.ts'

/** Maximum number of concurrent requests to one endpoint. */
export const maxInFlight = 10

/** Number of deliveries that one query reads. */
const pageSize = 100

/** Consecutive failures after which an endpoint gets one request at a time, and pauses between these. */
const failuresUntilPause = 5
const minPauseMs = 1_000
const maxPauseMs = 60_000

type Options = {
  db: Db
  sender: Sender
  endpoint: LeasedEndpoint
  /** Takes the result of an attempt, and calls `recorded` when it is durable. */
  record: (attempt: DeliveryAttempt, recorded: () => void) => void
  /** Waits for a place among the requests of all endpoints; returns false if the wait exceeds its time limit. */
  takePlace: (accountId: number) => Promise<boolean>
  releasePlace: (accountId: number) => void
}

/**
 * Delivers to one endpoint whose lease this process has: up to ten requests at a time, in order for each phone. After
 * consecutive failures it makes one attempt at a time, with growing pauses, until one succeeds.
 */
export class EndpointRunner {
  readonly #options: Options
  readonly #pool = new ConnectionPool(maxInFlight)
  #endpoint: LeasedEndpoint
  #waiting: DueDelivery[] = []
  /** Deliveries that are being attempted, or whose result is not recorded yet. */
  readonly #open = new Set<number>()
  readonly #ended = Promise.withResolvers<void>()
  #inFlight = 0
  #failures = 0
  #pausedUntil: Date | null = null
  #isLoading = false
  #isStopped = false
  #idleSince: number | undefined
  #rate: SlidingCounter | undefined
  /** Set while attempts wait for the endpoint's rate. */
  #timer: NodeJS.Timeout | undefined

  constructor(options: Options) {
    this.#options = options
    this.#endpoint = options.endpoint
    this.#limitRate()
  }

  /** Time from which the next attempt may be made, after failures; null without a pause. */
  get pausedUntil(): Date | null {
    return this.#pausedUntil
  }

  /** Since when nothing is due, in performance.now() milliseconds; undefined while there is work. */
  get idleSince(): number | undefined {
    return this.#open.size === 0 ? this.#idleSince : undefined
  }

  /** Takes the present URL and settings of the endpoint, with the renewed lease. */
  update(endpoint: LeasedEndpoint): void {
    this.#endpoint = endpoint
    this.#limitRate()
  }

  #limitRate(): void {
    const { callsPerSecond: calls } = this.#endpoint
    if (calls === (this.#rate?.limit.calls ?? null)) return
    this.#rate = calls === null ? undefined : new SlidingCounter({ calls, windowMs: 1_000 })
  }

  /** Starts attempts of due deliveries. */
  async fill(): Promise<void> {
    if (this.#isLoading || this.#isStopped) return
    this.#isLoading = true
    try {
      if (this.#waiting.length === 0) await this.#load()
    } finally {
      this.#isLoading = false
    }
    this.#start()
  }

  /** Starts no more attempts; resolves when the results of those in flight are recorded. */
  stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#waiting = []
    this.#endIfStopped()
    return this.#ended.promise
  }

  #endIfStopped(): void {
    if (!this.#isStopped || this.#open.size > 0) return
    this.#pool.close()
    this.#ended.resolve()
  }

  async #load(): Promise<void> {
    const { db, sender } = this.#options
    const now = sender.clock.now()
    if (this.#pausedUntil && this.#pausedUntil > now) return
    const limit = this.#failures >= failuresUntilPause ? 1 : pageSize
    this.#waiting = await listDueDeliveries(db, this.#endpoint.id, now, [...this.#open], limit)
    if (this.#waiting.length > 0) this.#idleSince = undefined
    else this.#idleSince ??= performance.now()
  }

  #start(): void {
    const limit = this.#failures >= failuresUntilPause ? 1 : maxInFlight
    while (!this.#isStopped && this.#inFlight < limit) {
      if (this.#waiting.length === 0) return
      const waitMs = this.#rate?.take(performance.now()) ?? 0
      if (waitMs > 0) {
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined
          this.#start()
        }, Math.ceil(waitMs))
        return
      }
      const delivery = this.#waiting.shift()
      if (!delivery) return
      this.#open.add(delivery.id)
      this.#inFlight++
      void this.#attempt(delivery)
    }
  }

  async #attempt(delivery: DueDelivery): Promise<void> {
    const { sender, record, takePlace, releasePlace } = this.#options
    const { accountId } = this.#endpoint
    if (!(await takePlace(accountId))) {
      this.#inFlight--
      this.#open.delete(delivery.id)
      this.#endIfStopped()
      return
    }
    const attempt = await attemptDelivery(sender, this.#endpoint, delivery, this.#pool)
    releasePlace(accountId)
    this.#inFlight--
    this.#count(attempt)
    record(attempt, () => {
      this.#open.delete(delivery.id)
      this.#endIfStopped()
      void this.fill().catch(() => {})
    })
    if (this.#waiting.length > 0) this.#start()
  }

  #count({ outcome }: DeliveryAttempt): void {
    if (outcome === 'delivered') {
      this.#failures = 0
      this.#pausedUntil = null
      return
    }
    this.#failures++
    if (this.#failures < failuresUntilPause) return
    // the rest waits in the database
    this.#waiting = []
    const pauseMs = Math.min(maxPauseMs, minPauseMs * 2 ** (this.#failures - failuresUntilPause))
    this.#pausedUntil = new Date(this.#options.sender.clock.now().getTime() + pauseMs)
  }
}
