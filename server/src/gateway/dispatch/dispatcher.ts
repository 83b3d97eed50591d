import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Db } from '../../db/db.ts'
import type { Clock } from '../../lib/clock.ts'
import { closingReserveMs } from '../../log/claims.queries.ts'
import type { SendingRoutes } from '../binds/sending-routes.ts'
import type { LeasedChunk } from '../submit/leased-chunk.ts'
import type { Submitter } from '../submit/submitter.ts'
import { leaseTiming, timing } from '../timing.ts'
import type { Urgency } from '../urgency.ts'
import { BatchMarker, type Full } from './batch-marker.ts'
import { ChunkLeases } from './chunk-leases.ts'
import { Claims } from './claims.ts'
import { AccountTurns, FairShare } from './fair-share.ts'

const { drainPollMs } = timing

export type DispatcherOptions = {
  db: Db
  clock: Clock
  log: Logger
  routes: SendingRoutes
  urgency: Urgency
  instanceId: string
  leaseMs: number
}

/** Leases chunks, urgent lanes first, and fills the windows of the bind groups with their texts. */
export class Dispatcher {
  readonly #options: DispatcherOptions
  readonly #claims: Claims
  readonly #leases: ChunkLeases
  readonly #fairShare = new FairShare()
  readonly #urgentTurns = new AccountTurns()
  #submitter: Submitter | undefined
  #marker: BatchMarker | undefined
  #renewTimer: NodeJS.Timeout | undefined
  #isStopping = false

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.#leases = new ChunkLeases({ ...options, isClosing: (leased) => this.#isClosing(leased) })
    this.#claims = new Claims({ ...options, leased: () => this.#leases.all, onLeased: (leased) => this.#add(leased) })
  }

  start(submitter: Submitter): void {
    const { routes, urgency, leaseMs } = this.#options
    this.#submitter = submitter
    this.#marker = new BatchMarker({
      routes,
      submitter,
      urgency,
      onMarked: ({ chunk, isUrgent }, texts) => {
        if (isUrgent) this.#urgentTurns.count(chunk.accountId, texts)
        else this.#fairShare.count(chunk, texts)
      },
      onChange: this.pump,
    })
    this.#claims.start()
    this.#renewTimer = setInterval(() => void this.#leases.renew().then(this.pump), leaseTiming(leaseMs).renewEveryMs)
  }

  /**
   * Stops claiming and marking, waits at most `maxWaitMs` until the outcomes of texts in flight are recorded, and releases the
   * chunks without open texts.
   */
  async stop(maxWaitMs: number): Promise<void> {
    this.#isStopping = true
    this.#claims.stop()
    const until = performance.now() + maxWaitMs
    const isBusy = () => this.#marker?.isMarking || this.#leases.all.some((leased) => leased.open > 0)
    while (performance.now() < until && isBusy()) await delay(drainPollMs)
    clearInterval(this.#renewTimer)
    this.#marker?.stop()
    await this.#leases.releaseAll()
  }

  /** Claims chunks now, because there may be new ones. */
  claimNow(): void {
    this.#claims.claimNow()
  }

  #add(leased: LeasedChunk): void {
    this.#leases.add(leased)
    this.#updateBroadcasts()
    this.pump()
  }

  #updateBroadcasts(): void {
    this.#fairShare.setBroadcasts(this.#leases.all.filter((leased) => !leased.isUrgent).map(({ chunk }) => chunk))
  }

  /** Fills the windows and drops finished chunks; called whenever window slots, tokens, retries or chunks become available. */
  readonly pump = (): void => {
    const submitter = this.#submitter
    const marker = this.#marker
    if (!submitter || !marker) return
    if (this.#leases.dropFinished()) this.#updateBroadcasts()
    const now = performance.now()
    // partial sends come before all other texts, because the phone waits for the remaining parts
    const full = submitter.resume(now, (at) => marker.wakeAt(at))
    if (this.#isStopping) return
    this.#fillFromUrgent(marker, now, full)
    this.#fillFromBroadcasts(marker, now, full)
    this.#claims.claimIfLow()
  }

  /**
   * Marks urgent texts batch after batch. Accounts take turns, so a message to a thousand numbers delays no other account's
   * reply; the texts of an account have the order of their lanes and leases.
   */
  #fillFromUrgent(marker: BatchMarker, now: number, full: Full): void {
    const { all } = this.#leases
    if (!marker.hasRoom(true, now) || !all[0]?.isUrgent) return
    const end = all.findIndex((leased) => !leased.isUrgent)
    const urgent = end === -1 ? all : all.slice(0, end)
    const queues = Map.groupBy(urgent, (leased) => leased.chunk.accountId)
    this.#urgentTurns.setAccounts(queues.keys())
    while (queues.size > 0 && marker.hasRoom(true, now)) {
      const accountId = this.#urgentTurns.first(queues.keys())
      const queue = queues.get(accountId) ?? []
      const next = queue.find((leased) => this.#isReady(leased, now) && marker.fill(leased, now, full))
      // the chunks before it have no ready texts, or their caps or windows are full
      const rest = next ? queue.slice(queue.indexOf(next)) : []
      if (rest.length > 0) queues.set(accountId, rest)
      else queues.delete(accountId)
    }
  }

  /** Marks batch after batch, each from the broadcast that is next by fair share. */
  #fillFromBroadcasts(marker: BatchMarker, now: number, full: Full): void {
    if (!marker.hasRoom(false, now)) return
    let waiting = this.#leases.all.filter((leased) => !leased.isUrgent && this.#isReady(leased, now))
    while (waiting.length > 0 && marker.hasRoom(false, now)) {
      let next = waiting[0] as LeasedChunk
      for (const leased of waiting) if (this.#fairShare.compare(leased.chunk, next.chunk) < 0) next = leased
      const isFilled = marker.fill(next, now, full)
      if (!isFilled || !this.#isReady(next, now)) waiting = waiting.filter((leased) => leased !== next)
    }
  }

  #isReady(leased: LeasedChunk, now: number): boolean {
    return leased.mayWrite(now) && leased.ready() > 0 && !this.#isClosing(leased)
  }

  #isClosing({ chunk: { closesAt } }: LeasedChunk): boolean {
    return closesAt !== null && this.#options.clock.now().getTime() >= closesAt.getTime() - closingReserveMs
  }
}
