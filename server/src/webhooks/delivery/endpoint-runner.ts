import type { Db } from '../../db/db.ts'
import { ConnectionPool } from '../../lib/connection-pool.ts'
import { SlidingCounter } from '../../lib/rate-limit.ts'
import { attemptDelivery, type Sender } from './attempt.ts'
import { type DueDelivery, listDueDeliveries } from './deliveries.queries.ts'
import type { LeasedEndpoint } from './leases.queries.ts'
import type { DeliveryAttempt } from './results.queries.ts'

/** Maximum number of concurrent requests to one endpoint. */
export const maxInFlight = 10

/** Attempts of an endpoint whose last one took longer, or failed, use other places than those of quick endpoints. */
const quickMs = 1_000

/** Number of deliveries that one query reads. */
const pageSize = 100

/** Number of replayed deliveries that one query reads: few, because live ones that come later wait for them. */
const maxReplayPage = 20

/** Consecutive failures after which an endpoint gets one request at a time, and pauses between these. */
const failuresUntilPause = 5

/** A pause is at least this part of the time for which the endpoint has failed. */
const pausePart = 0.1
const minPauseMs = 1_000
const maxPauseMs = 60_000

type Options = {
  db: Db
  sender: Sender
  endpoint: LeasedEndpoint
  /** Takes the result of an attempt, and calls `recorded` when it is durable. */
  record: (attempt: DeliveryAttempt, recorded: () => void) => void
  /** Called when no request can be made, because the key cannot open a secret; the endpoint is paused then. */
  onUnsendable: (endpointId: number, error: unknown) => void
  /**
   * Waits for a place among the requests of all quick endpoints, or of all others; returns a function that releases it, or
   * undefined if the wait exceeds its time limit.
   */
  takePlace: (accountId: number, isQuick: boolean) => Promise<(() => void) | undefined>
}

/**
 * Delivers to one endpoint whose lease this process has: up to ten requests at a time, in order for each phone. It begins
 * with one request, doubles their number with each success and halves it with each failure, so an endpoint that does not
 * respond uses one place. After consecutive failures it makes one attempt at a time, with growing pauses, until one succeeds.
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
  /** Maximum number of requests at present. */
  #limit = 1
  #isQuick: boolean
  #failures = 0
  #pausedUntil: Date | null = null
  /** Whether the webhook responded 410, until it is disabled or updated. */
  #isGone = false
  #isLoading = false
  /** Whether the last page was full. */
  #mayHaveMore = false
  #isStopped = false
  #idleSince: number | undefined
  /** Beginning of the lease, in performance.now() milliseconds. */
  readonly leasedAt = performance.now()
  #rate: SlidingCounter | undefined
  /** Set while attempts wait for the endpoint's rate. */
  #timer: NodeJS.Timeout | undefined

  constructor(options: Options) {
    this.#options = options
    this.#endpoint = options.endpoint
    this.#limitRate()
    // an endpoint that failed under its former lease pauses after one more failure
    this.#isQuick = options.endpoint.failingSince === null
    if (!this.#isQuick) this.#failures = failuresUntilPause - 1
  }

  get accountId(): number {
    return this.#endpoint.accountId
  }

  /** Time until which no attempt is made, if none is in progress; null without a pause. */
  get pausedUntil(): Date | null {
    return this.#isPaused && this.#open.size === 0 ? this.#pausedUntil : null
  }

  get #isPaused(): boolean {
    return this.#pausedUntil !== null && this.#pausedUntil > this.#options.sender.clock.now()
  }

  /** Whether it starts no more attempts. */
  get isStopped(): boolean {
    return this.#isStopped
  }

  /** Whether it is stopped and all results are recorded. */
  get hasEnded(): boolean {
    return this.#isStopped && this.#open.size === 0
  }

  /** Since when nothing is due, in performance.now() milliseconds; undefined while there is work. */
  get idleSince(): number | undefined {
    return this.#open.size === 0 ? this.#idleSince : undefined
  }

  /** The revision of the endpoint whose pause `pausedUntil` is. */
  get revision(): number {
    return this.#endpoint.revision
  }

  /** Takes the present URL and settings of the endpoint, with the renewed lease; after an update of the webhook, a pause ends. */
  update(endpoint: LeasedEndpoint): void {
    const isUpdated = endpoint.revision !== this.#endpoint.revision
    this.#endpoint = endpoint
    this.#limitRate()
    if (!isUpdated) return
    this.#pausedUntil = null
    this.#isGone = false
    this.#failures = 0
  }

  #limitRate(): void {
    const { callsPerSecond: calls } = this.#endpoint
    if (calls === (this.#rate?.limit.calls ?? null)) return
    this.#rate = calls === null ? undefined : new SlidingCounter({ calls, windowMs: 1_000 })
  }

  /** Starts attempts of due deliveries; reads the next ones before the last ones of a full page are attempted. */
  async fill(): Promise<void> {
    if (this.#isLoading || this.#isStopped) return
    if (this.#waiting.length === 0 || (this.#mayHaveMore && this.#waiting.length <= pageSize / 2)) {
      this.#isLoading = true
      try {
        await this.#load()
      } finally {
        this.#isLoading = false
      }
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
    if (this.#isGone || this.#isPaused) return
    const now = sender.clock.now()
    const limit = this.#failures >= failuresUntilPause ? 1 : pageSize
    const maxReplays = Math.min(maxReplayPage, this.#endpoint.callsPerSecond ?? maxReplayPage)
    const known = [...this.#open, ...this.#waiting.map(({ id }) => id)]
    const due = await listDueDeliveries(db, this.#endpoint.id, now, known, { limit, maxReplays })
    this.#mayHaveMore = due.length === pageSize
    // since the query began, the endpoint may have been stopped, disabled or paused
    if (this.#isStopped || this.#isGone || this.#isPaused) return
    this.#waiting.push(...due)
    if (this.#waiting.length > 0) this.#idleSince = undefined
    else this.#idleSince ??= performance.now()
  }

  #start(): void {
    while (!this.#isStopped && this.#inFlight < this.#limit) {
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
    const { sender, record, takePlace } = this.#options
    const { accountId } = this.#endpoint
    const release = await takePlace(accountId, this.#isQuick)
    // meanwhile, the endpoint was disabled, or another process has its lease
    if (release && this.#isStopped) release()
    if (!release || this.#isStopped) {
      this.#inFlight--
      this.#open.delete(delivery.id)
      this.#endIfStopped()
      return
    }
    const attempt = await attemptDelivery(sender, this.#endpoint, delivery, this.#pool).catch((error) => {
      this.#options.onUnsendable(this.#endpoint.id, error)
    })
    release()
    this.#inFlight--
    if (!attempt) {
      this.#open.delete(delivery.id)
      this.#pause(maxPauseMs)
      this.#endIfStopped()
      return
    }
    // the result of a former URL says nothing about the present one
    if (attempt.revision === this.#endpoint.revision) this.#count(attempt)
    record(attempt, () => {
      this.#open.delete(delivery.id)
      this.#endIfStopped()
      void this.fill().catch(() => {})
    })
    if (this.#waiting.length > 0) this.#start()
  }

  #count({ outcome, status, durationMs, pauseMs }: DeliveryAttempt): void {
    if (status === 410 && this.#endpoint.url !== null) {
      this.#isGone = true
      this.#waiting = []
    }
    this.#isQuick = outcome === 'delivered' && durationMs < quickMs
    if (outcome === 'delivered') {
      this.#failures = 0
      this.#limit = Math.min(maxInFlight, this.#limit * 2)
      return
    }
    this.#failures++
    this.#limit = this.#failures >= failuresUntilPause ? 1 : Math.ceil(this.#limit / 2)
    this.#pause(Math.max(pauseMs, this.#failures >= failuresUntilPause ? this.#ownPauseMs() : 0))
  }

  #ownPauseMs(): number {
    const { failingSince } = this.#endpoint
    const now = this.#options.sender.clock.now().getTime()
    const failingMs = failingSince === null ? 0 : now - failingSince.getTime()
    const doubled = minPauseMs * 2 ** (this.#failures - failuresUntilPause)
    return Math.min(maxPauseMs, Math.max(doubled, failingMs * pausePart))
  }

  #pause(ms: number): void {
    if (ms === 0) return
    // the rest waits in the database
    this.#waiting = []
    const until = new Date(this.#options.sender.clock.now().getTime() + ms)
    if (this.#pausedUntil === null || this.#pausedUntil < until) this.#pausedUntil = until
  }
}
