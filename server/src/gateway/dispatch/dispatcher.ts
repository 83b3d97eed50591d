import type { Logger } from 'pino'
import type { Db } from '../../db/db.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Chunk, Recipient } from '../../log/chunk.ts'
import { closingReserveMs } from '../../log/claims.queries.ts'
import { finishChunk, releaseChunks, renewLeases } from '../../log/leases.queries.ts'
import { lanes } from '../../messages/messages.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import type { SendingRoutes } from '../binds/sending-routes.ts'
import type { CapSet } from '../caps/caps.ts'
import type { LeasedChunk } from '../submit/leased-chunk.ts'
import type { Submitter } from '../submit/submitter.ts'
import { leaseTiming, timing } from '../timing.ts'
import { Claims } from './claims.ts'
import { FairShare } from './fair-share.ts'

const { companyWaitMs, drainPollMs, slowMarkMs, strandedMs } = timing

/** Recipients of one mark: as large as the write it costs wants, as small as what one death may put in doubt. */
const markRows = 250
const leastRows = 16
/** Marks that may be under way beside each other, and how many more when urgent texts are among them. */
const marksAtOnce = 3
const urgentMarks = 2

/** BindGroups that have too few places for now, and caps too few tokens. */
type Full = Set<BindGroup | CapSet>
type Among = (recipient: Recipient) => boolean

export type DispatcherOptions = {
  db: Db
  clock: Clock
  log: Logger
  sendingRoutes: SendingRoutes
  instanceId: string
  leaseMs: number
}

/** Leases chunks, the urgent lanes first, and keeps the windows of the lines filled from them. */
export class Dispatcher {
  readonly #options: DispatcherOptions
  #submitter: Submitter | undefined
  readonly #claims: Claims
  readonly #fairShare = new FairShare()
  // in the order of lanes, and of their ids within a lane
  #leased: LeasedChunk[] = []
  #marking = 0
  #rowsAtOnce = markRows
  #stopping = false
  #pumpTimer: NodeJS.Timeout | undefined
  readonly #waitingForCompany = new Set<BindGroup>()
  #timers: NodeJS.Timeout[] = []

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.#claims = new Claims({ ...options, leased: () => this.#leased, take: (leased) => this.#take(leased) })
  }

  start(submitter: Submitter): void {
    this.#submitter = submitter
    this.#claims.start()
    this.#timers.push(setInterval(() => void this.#renew(), leaseTiming(this.#options.leaseMs).renewEveryMs))
  }

  /** Takes no more work, waits until what is on its way is answered and recorded, and gives the chunks back. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true
    this.#claims.stop()
    const until = performance.now() + deadlineMs
    while (performance.now() < until && (this.#marking > 0 || this.#leased.some((leased) => leased.open > 0))) {
      await new Promise((resolve) => setTimeout(resolve, drainPollMs))
    }
    for (const timer of this.#timers) clearInterval(timer)
    clearTimeout(this.#pumpTimer)
    clearTimeout(this.#tokensTimer)
    const chunks = this.#leased.filter((leased) => !leased.lost && leased.open === 0).map((leased) => leased.chunk)
    if (chunks.length === 0) return
    const { db, log } = this.#options
    await releaseChunks(db, chunks).catch((error) =>
      log.warn({ err: error }, 'could not give chunks back; their leases will run out'),
    )
  }

  /** There may be chunks to lease. */
  lookForWork(): void {
    this.#claims.look()
  }

  #take(leased: LeasedChunk): void {
    const place = this.#leased.findIndex((other) => other.chunk.lane > leased.chunk.lane)
    this.#leased.splice(place === -1 ? this.#leased.length : place, 0, leased)
    this.#followFairShare()
    this.pump()
  }

  #followFairShare(): void {
    this.#fairShare.follow(this.#leased.filter(isBroadcast).map((leased) => leased.chunk))
  }

  /** A slot, a retry or a chunk came free: fills the window and lets go of what is finished. */
  readonly pump = (): void => {
    if (!this.#submitter) return
    this.#letGo()
    const now = performance.now()
    // a text that has begun comes before all that has not: its other parts are on the handset already
    const full = this.#submitter.resume(now, (at) => this.#pumpAt(at))
    if (!this.#stopping) {
      for (const leased of this.#leased) {
        if (isBroadcast(leased) || this.#marking >= marksAtOnce + urgentMarks) break
        while (this.#mayMark(leased, now, urgentMarks) && this.#fill(leased, now, full));
      }
      this.#fillFromBroadcasts(now, full)
      this.#claims.lookIfWanted()
    }
  }

  /** Marks batch by batch, each from the broadcast whose turn it is. */
  #fillFromBroadcasts(now: number, full: Full): void {
    if (this.#marking >= marksAtOnce) return
    let waiting = this.#leased.filter((leased) => isBroadcast(leased) && this.#mayMark(leased, now))
    while (waiting.length > 0 && this.#marking < marksAtOnce) {
      let next = waiting[0] as LeasedChunk
      for (const leased of waiting) if (this.#fairShare.compare(leased.chunk, next.chunk) < 0) next = leased
      const isFilled = this.#fill(next, now, full)
      if (!isFilled || !this.#mayMark(next, now)) waiting = waiting.filter((leased) => leased !== next)
    }
  }

  #mayMark(leased: LeasedChunk, now: number, more = 0): boolean {
    if (this.#marking >= marksAtOnce + more) return false
    return leased.mayWrite(now) && leased.ready(now) > 0 && !this.#isClosing(leased)
  }

  /** Whether its window is about to close: who is left in it waits for the next one. */
  #isClosing({ chunk: { closesAt } }: LeasedChunk): boolean {
    return closesAt !== null && this.#options.clock.now().getTime() >= closesAt.getTime() - closingReserveMs
  }

  /**
   * Marks a batch of this chunk for the line whose turn it is, or where its carrier or its caps take no more for now, for
   * one that stands in for it; false when these have too little room.
   */
  #fill(leased: LeasedChunk, now: number, full: Full): boolean {
    const { sendingRoutes } = this.#options
    const { shortCodeId } = leased.chunk
    const passedOver: BindGroup[] = []
    for (const group of sendingRoutes.inTurn(shortCodeId, now)) {
      if (group.asksForCarriers && !leased.knowsCarriers) {
        leased.mustBeListedAnew = true
        return false
      }
      const texts = this.#fillGroup(leased, group, now, full)
      if (texts > 0) {
        sendingRoutes.count(shortCodeId, group, texts, passedOver)
        return true
      }
      // one that is merely busy keeps its turn: weights are of texts, not of what each could carry
      if (full.has(group) && !group.isSlowedDown) return false
      passedOver.push(group)
    }
    return false
  }

  /** Marks a batch of this chunk for this line; answers of how many texts. */
  #fillGroup(leased: LeasedChunk, group: BindGroup, now: number, full: Full): number {
    const { shortCodeId } = leased.chunk
    if (full.has(group)) return 0
    if (!group.asksForCarriers) return this.#mark(leased, group, group.capsFor(shortCodeId), undefined, now, full)
    // the texts to one carrier must not hold up those to others
    const carriers = new Set<string | undefined>(Object.keys(group.connection.carrierMps)).add(undefined)
    for (const carrier of carriers) {
      const among = (recipient: Recipient) => group.carrierOf(recipient) === carrier
      const texts = this.#mark(leased, group, group.capsFor(shortCodeId, carrier), among, now, full)
      if (texts > 0) return texts
    }
    return 0
  }

  /**
   * Marks a batch for this line, under these caps, and answers of how many texts: none when nobody is ready or there is
   * too little room for now, which it notes as full.
   */
  #mark(
    leased: LeasedChunk,
    group: BindGroup,
    caps: CapSet,
    among: Among | undefined,
    now: number,
    full: Full,
  ): number {
    const { chunk } = leased
    const isUrgent = !isBroadcast(leased)
    const ready = leased.ready(now, among)
    if (ready === 0 || full.has(group) || full.has(caps)) return 0
    if (caps.isClosed) {
      caps.want(now, 1)
      full.add(caps)
      return 0
    }
    // a text of more parts than can ever be on their way at once takes all there is, and then waits for its own places
    const kept = isUrgent ? 0 : group.kept(now)
    const capacity = Math.min(group.capacity, group.window - kept, caps.capacity)
    const places = Math.min(leased.textsFor(group).pduCount, capacity)
    const wanted = Math.min(ready, this.#rowsAtOnce)
    const room = places === 0 ? 0 : Math.max(0, Math.floor((group.freeToMark(caps, isUrgent) - kept) / places))
    // a mark costs nearly the same for few rows as for many: wait a moment for a window's quarter to be free
    const worthwhile = Math.min(wanted, Math.ceil(capacity / 4 / places))
    if (room === 0 || (room < worthwhile && !isUrgent && !group.impatient)) {
      if (room > 0) this.#pumpLater(group)
      else if (group.freeAt(now) > now) this.#pumpAt(group.freeAt(now))
      // what is kept for urgent texts is free for them, but they have had their turn
      full.add(group)
      return 0
    }
    const enough = isUrgent ? 1 : Math.min(wanted, Math.ceil(caps.batch / places))
    const affordable = Math.floor(caps.free(now) / places)
    if (affordable < enough) {
      full.add(caps)
      caps.want(now, enough * places)
      this.#pumpAt(caps.freeAt(now, enough * places))
      return 0
    }
    const recipients = leased.take(Math.min(wanted, room, affordable), now, among)
    group.reserve(recipients.length * places, caps)
    group.impatient = false
    if (isUrgent) group.noteUrgent(now)
    else this.#fairShare.count(chunk, recipients.length)
    this.#marking++
    void this.#submitter?.submit(leased, group, recipients, places, caps).finally(() => {
      this.#marking--
      const isSlow = performance.now() - now > slowMarkMs
      this.#rowsAtOnce = isSlow ? Math.max(leastRows, this.#rowsAtOnce >> 1) : Math.min(markRows, this.#rowsAtOnce * 2)
      this.pump()
    })
    return recipients.length
  }

  #tokensAt = Number.POSITIVE_INFINITY
  #tokensTimer: NodeJS.Timeout | undefined

  /** Tokens of some caps come free then. */
  #pumpAt(at: number): void {
    if (at >= this.#tokensAt) return
    clearTimeout(this.#tokensTimer)
    this.#tokensAt = at
    this.#tokensTimer = setTimeout(
      () => {
        this.#tokensAt = Number.POSITIVE_INFINITY
        this.pump()
      },
      Math.max(1, at - performance.now()),
    )
  }

  /** The places of this line that came free have waited long enough for company after a moment. */
  #pumpLater(group: BindGroup): void {
    this.#pumpTimer ??= setTimeout(() => {
      this.#pumpTimer = undefined
      for (const each of this.#waitingForCompany) each.impatient = true
      this.#waitingForCompany.clear()
      this.pump()
    }, companyWaitMs)
    this.#waitingForCompany.add(group)
  }

  #letGo(): void {
    const done = this.#leased.filter((leased) => leased.finished || (leased.lost && leased.open === 0))
    if (done.length === 0) return
    this.#leased = this.#leased.filter((leased) => !done.includes(leased))
    this.#followFairShare()
    for (const leased of done) if (!leased.lost) void this.#finish(leased.chunk)
  }

  async #finish(chunk: Chunk): Promise<void> {
    const { db, log } = this.#options
    try {
      // somebody is still open in it when a mark was lost with its answer: the next lease sorts that out
      if (!(await finishChunk(db, chunk))) await releaseChunks(db, [chunk])
    } catch (error) {
      log.warn({ err: error, chunk: chunk.id }, 'could not close a chunk; its lease will run out')
    }
  }

  async #renew(): Promise<void> {
    const { db, log, leaseMs } = this.#options
    await this.#giveBack()
    // without a line the leases run out, for another gateway that has one
    const leased = this.#leased.filter((each) => !each.lost && each.strandedSince === undefined)
    if (leased.length === 0) return this.pump()
    const asked = performance.now()
    try {
      const ours = await renewLeases(
        db,
        leaseMs,
        leased.map((each) => each.chunk),
      )
      for (const each of leased) {
        if (ours.has(each.chunk.id)) {
          each.leaseUntil = asked + leaseMs
          each.cancelled = ours.get(each.chunk.id) === true
        } else if (this.#leased.includes(each)) {
          each.lost = true
          log.warn({ chunk: each.chunk.id }, 'lost a chunk to another gateway')
        }
      }
    } catch (error) {
      log.warn({ err: error }, 'could not renew leases')
    }
    this.pump()
  }

  /** Notes which chunks have no line of ours any more, and gives those back that have been so for long, or must wait. */
  async #giveBack(): Promise<void> {
    const { db, log, sendingRoutes } = this.#options
    const now = performance.now()
    for (const leased of this.#leased) {
      const isStranded = !sendingRoutes.canSend(leased.chunk.shortCodeId)
      leased.strandedSince = isStranded ? (leased.strandedSince ?? now) : undefined
    }
    const given = this.#leased.filter(
      (leased) =>
        !leased.lost &&
        leased.open === 0 &&
        (now - (leased.strandedSince ?? now) > strandedMs || this.#isClosing(leased) || leased.mustBeListedAnew),
    )
    if (given.length === 0) return
    for (const leased of given) leased.lost = true
    await releaseChunks(
      db,
      given.map((leased) => leased.chunk),
    ).catch((error) => log.warn({ err: error }, 'could not give chunks back; their leases will run out'))
  }
}

const isBroadcast = (leased: LeasedChunk) => leased.chunk.lane === lanes.broadcast
