import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { isErrorOfValues } from '../../db/pg-errors.ts'
import { Batcher } from '../../lib/batcher.ts'
import { FairPlaces } from '../../lib/fair-places.ts'
import { SlidingCounter } from '../../lib/rate-limit.ts'
import type { Runtime } from '../../runtime.ts'
import type { Sender } from './attempt.ts'
import { EndpointRunner } from './endpoint-runner.ts'
import { disableGone } from './endpoints.queries.ts'
import {
  type LeasedEndpoint,
  leaseEndpoints,
  listWaitingAccounts,
  releaseEndpoint,
  renewEndpointLeases,
} from './leases.queries.ts'
import { ResponseBudget } from './response-budget.ts'
import { type DeliveryAttempt, postponeDelivery, recordAttempts } from './results.queries.ts'

/** Time for which an endpoint is leased. If its worker dies, another one continues after that. */
const leaseMs = 10_000
const renewMs = 3_000

/** Time that a stop waits for attempts in flight. */
const maxStopMs = 5_000

const leaseBatch = 25

/** How a worker shares its leases among endpoints. */
export type LeaseLimits = {
  /** Maximum number of endpoints that one worker has leased. */
  endpoints: number
  /** Maximum number of them of one account, which also leaves as many free as it has. */
  perAccount: number
  /** Time after which a busy endpoint is released if others wait for their turn. */
  turnMs: number
}

export const defaultLeaseLimits: LeaseLimits = { endpoints: 500, perAccount: 100, turnMs: 5_000 }

/** Requests to quick endpoints, and to those that fail or need more than a second. */
const quickPlaces = { total: 400, perParty: 100, maxWaiting: 10_000, maxWaitMs: 5_000, leavesRoom: true }
const otherPlaces = { ...quickPlaces, total: 200, perParty: 50 }

/** Time without a due delivery after which the lease of an endpoint is released. */
const idleMs = 2_000

/** Maximum number of log lines about endpoints whose secrets cannot be opened. */
const maxUnsendableLines = { calls: 20, windowMs: 60_000 }

/** Time after which a delivery is made again whose result cannot be recorded. */
const unrecordedMs = 3_600_000

/** Time for which a round waits for the queries of due deliveries, so that a slow one does not delay the renewal of leases. */
const maxFillMs = 1_000

type Entry = { attempt: DeliveryAttempt; recorded: () => void }

/** Delivers events to the endpoints that this worker leases. Any number of workers share the endpoints. */
export class WebhookDispatcher {
  readonly #rt: Pick<Runtime, 'db' | 'clock' | 'log'>
  readonly #sender: Sender
  readonly #limits: LeaseLimits
  readonly #holder = randomUUID()
  readonly #runners = new Map<number, EndpointRunner>()
  readonly #quickPlaces = new FairPlaces(quickPlaces)
  readonly #otherPlaces = new FairPlaces(otherPlaces)
  readonly #batcher: Batcher<Entry>
  readonly #responses = new ResponseBudget()
  readonly #stopped = new AbortController()
  readonly #unsendableLines = new SlidingCounter(maxUnsendableLines)
  #renewedAt = Number.NEGATIVE_INFINITY

  constructor(rt: Pick<Runtime, 'db' | 'clock' | 'log'>, sender: Sender, limits = defaultLeaseLimits) {
    this.#rt = rt
    this.#limits = limits
    this.#sender = sender
    this.#batcher = new Batcher<Entry>({
      size: 500,
      maxDelayMs: 10,
      writers: () => 1,
      isOwn: async (error) => isErrorOfValues(error),
      write: async (batch) => {
        await this.#record(batch.map(({ attempt }) => attempt))
        for (const { attempt } of batch) if (attempt.status === 410) await this.#disable(attempt)
        for (const { recorded } of batch) recorded()
      },
      onFailure: (error) => rt.log.warn({ err: error }, 'failed to record deliveries, retrying'),
    })
  }

  /** Leases endpoints with due deliveries, renews and releases leases, and starts attempts. */
  async round(): Promise<void> {
    await this.#renew()
    await this.#release()
    await this.#endTurns()
    while (await this.#leaseSome());
    const filled = Promise.all([...this.#runners.values()].map((runner) => runner.fill()))
    filled.catch(() => {})
    await Promise.race([filled, delay(maxFillMs, undefined, { ref: false })])
  }

  /** Leases a batch of endpoints; returns whether there may be more that this worker can lease. */
  async #leaseSome(): Promise<boolean> {
    const { full, free } = this.#shares()
    if (free === 0) return false
    const limit = Math.min(leaseBatch, this.#limits.perAccount, Math.ceil(free / 2))
    const leased = await leaseEndpoints(this.#rt.db, this.#lease(), limit, full)
    for (const endpoint of leased) {
      // a lease of ours that expired while the process was stopped is ours again
      const runner = this.#runners.get(endpoint.id)
      if (runner) runner.update(endpoint)
      else this.#runners.set(endpoint.id, this.#run(endpoint))
    }
    return leased.length === limit
  }

  /** The number of leases of each account, the accounts that get no more of them, and the number of leases that are free. */
  #shares() {
    const counts = new Map<number, number>()
    for (const { accountId } of this.#runners.values()) counts.set(accountId, (counts.get(accountId) ?? 0) + 1)
    const free = Math.max(0, this.#limits.endpoints - this.#runners.size)
    const max = Math.min(this.#limits.perAccount, free)
    const full = [...counts].filter(([, count]) => count >= max).map(([id]) => id)
    return { counts, full, free }
  }

  /**
   * Ends the longest turns if other endpoints wait and their accounts, or this worker, can have no more leases. For an account
   * without more leases, one of its own turns ends; for another one, a turn of the account with most leases.
   */
  async #endTurns(): Promise<void> {
    const now = performance.now()
    const runners = [...this.#runners.values()]
    const long = runners.filter(({ isStopped, leasedAt }) => !isStopped && now - leasedAt >= this.#limits.turnMs)
    const { counts, full, free } = this.#shares()
    if (long.length === 0 || (full.length === 0 && free > 0)) return
    const ending = runners.filter(({ isStopped }) => isStopped).length
    const waiting = (accounts: { only: number[] } | { except: number[] }) =>
      listWaitingAccounts(this.#rt.db, this.#rt.clock.now(), accounts, leaseBatch)
    const others = free > 0 ? [] : (await waiting({ except: full })).slice(ending)
    for (const _ of others) {
      const [largest] = long.toSorted((a, b) => (counts.get(b.accountId) ?? 0) - (counts.get(a.accountId) ?? 0))
      if (largest) this.#endTurn(largest, long, counts)
    }
    const own = full.length > 0 ? (await waiting({ only: full })).slice(others.length > 0 ? 0 : ending) : []
    for (const accountId of own) {
      const runner = long.find((each) => each.accountId === accountId)
      if (runner) this.#endTurn(runner, long, counts)
    }
  }

  /** The lease is released when the attempts in flight are recorded. */
  #endTurn(runner: EndpointRunner, long: EndpointRunner[], counts: Map<number, number>): void {
    void runner.stop()
    long.splice(long.indexOf(runner), 1)
    counts.set(runner.accountId, (counts.get(runner.accountId) ?? 1) - 1)
  }

  /** Waits for the attempts in flight, records them and releases all leases. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    const ended = Promise.all([...this.#runners.values()].map((runner) => runner.stop()))
    // what is in flight after that is delivered again by another worker
    await Promise.race([ended, delay(maxStopMs, undefined, { ref: false })])
    await this.#batcher.flushed()
    for (const [id, { pausedUntil, revision }] of this.#runners) {
      await releaseEndpoint(this.#rt.db, this.#holder, { id, revision, pausedUntil }, this.#rt.clock.now())
    }
    this.#runners.clear()
  }

  #run(endpoint: LeasedEndpoint): EndpointRunner {
    return new EndpointRunner({
      db: this.#rt.db,
      sender: this.#sender,
      endpoint,
      onUnsendable: (id, error) => this.#reportUnsendable(id, error),
      record: (attempt, recorded) =>
        this.#batcher.add({ attempt: this.#responses.limit(attempt, performance.now()), recorded }),
      takePlace: async (accountId, isQuick) => {
        const places = isQuick ? this.#quickPlaces : this.#otherPlaces
        return (await places.take(accountId, this.#stopped.signal)) ? () => places.release(accountId) : undefined
      },
    })
  }

  #lease() {
    const now = this.#rt.clock.now()
    return { holder: this.#holder, now, until: new Date(now.getTime() + leaseMs) }
  }

  async #renew(): Promise<void> {
    if (performance.now() - this.#renewedAt < renewMs || this.#runners.size === 0) return
    this.#renewedAt = performance.now()
    const kept = await renewEndpointLeases(this.#rt.db, this.#lease(), [...this.#runners.keys()])
    const endpoints = new Map(kept.map((endpoint) => [endpoint.id, endpoint]))
    for (const [id, runner] of this.#runners) {
      const endpoint = endpoints.get(id)
      if (endpoint) runner.update(endpoint)
      else this.#drop(id, runner)
    }
  }

  async #release(): Promise<void> {
    for (const [id, runner] of this.#runners) {
      const isIdle = runner.idleSince !== undefined && performance.now() - runner.idleSince > idleMs
      // a paused endpoint uses none of the places for leases
      const { pausedUntil, revision } = runner
      if (!isIdle && !runner.hasEnded && pausedUntil === null) continue
      this.#drop(id, runner)
      await releaseEndpoint(this.#rt.db, this.#holder, { id, revision, pausedUntil }, this.#rt.clock.now())
    }
  }

  #drop(id: number, runner: EndpointRunner): void {
    void runner.stop()
    this.#runners.delete(id)
  }

  /** Records attempts; one that cannot be recorded alone is recorded without what was sent and received, or postponed. */
  async #record(attempts: DeliveryAttempt[]): Promise<void> {
    const [attempt, ...others] = attempts
    try {
      await recordAttempts(this.#rt.db, attempts)
    } catch (error) {
      if (!attempt || others.length > 0 || !isErrorOfValues(error)) throw error
      const { id, endpointId, position } = attempt.delivery
      this.#rt.log.error({ endpoint: endpointId, position, err: error }, 'attempt cannot be recorded with its content')
      const bare = { ...attempt, request: { url: null, headers: {} }, response: null }
      await recordAttempts(this.#rt.db, [bare]).catch(async (again) => {
        if (!isErrorOfValues(again)) throw again
        await postponeDelivery(this.#rt.db, id, new Date(this.#rt.clock.now().getTime() + unrecordedMs))
      })
    }
  }

  #reportUnsendable(endpoint: number, error: unknown): void {
    // one key opens the secrets of all endpoints
    if (this.#unsendableLines.take(performance.now()) > 0) return
    this.#rt.log.error({ endpoint, err: error }, 'cannot open the secrets of an endpoint, it is paused')
  }

  async #disable({ delivery, revision }: DeliveryAttempt): Promise<void> {
    const gone = { id: delivery.endpointId, revision }
    if (!(await disableGone(this.#rt.db, gone, this.#rt.clock.now()))) return
    const runner = this.#runners.get(delivery.endpointId)
    if (runner) this.#drop(delivery.endpointId, runner)
    this.#rt.log.warn({ endpoint: delivery.endpointId }, 'endpoint responded 410, it is disabled')
  }
}
