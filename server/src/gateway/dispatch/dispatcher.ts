import type { Logger } from 'pino'
import {
  type Chunk,
  closingReserveMs,
  finishChunk,
  releaseChunks,
  renewLeases,
} from '../../broadcasts/chunks.queries.ts'
import type { Recipient } from '../../broadcasts/marks.queries.ts'
import type { Db } from '../../db/db.ts'
import type { Clock } from '../../lib/clock.ts'
import { lanes } from '../../messages/messages.ts'
import type { Line } from '../binds/bind-group.ts'
import type { Routes } from '../binds/sending-routes.ts'
import type { CapSet } from '../caps/caps.ts'
import type { HeldChunk } from '../submit/leased-chunk.ts'
import type { Submitter } from '../submit/submitter.ts'
import { leaseTiming, timing } from '../timing.ts'
import { Claims } from './claims.ts'
import { Turns } from './fair-share.ts'

const { companyWaitMs, drainPollMs, slowMarkMs, strandedMs } = timing

/** Recipients of one mark: as large as the write it costs wants, as small as what one death may put in doubt. */
const markRows = 250
const leastRows = 16
/** Marks that may be under way beside each other, and how many more when urgent texts are among them. */
const marksAtOnce = 3
const urgentMarks = 2

/** Lines that have too few places for now, and caps too few tokens. */
type Full = Set<Line | CapSet>
type Among = (recipient: Recipient) => boolean

export type DispatcherOptions = {
  db: Db
  clock: Clock
  log: Logger
  routes: Routes
  instanceId: string
  leaseMs: number
}

/** Leases chunks, the urgent lanes first, and keeps the windows of the lines filled from them. */
export class Dispatcher {
  readonly #options: DispatcherOptions
  #submitter: Submitter | undefined
  readonly #claims: Claims
  readonly #turns = new Turns()
  // in the order of lanes, and of their ids within a lane
  #held: HeldChunk[] = []
  #marking = 0
  #rowsAtOnce = markRows
  #stopping = false
  #pumpTimer: NodeJS.Timeout | undefined
  readonly #waitingForCompany = new Set<Line>()
  #timers: NodeJS.Timeout[] = []

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.#claims = new Claims({ ...options, held: () => this.#held, take: (held) => this.#take(held) })
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
    while (performance.now() < until && (this.#marking > 0 || this.#held.some((held) => held.open > 0))) {
      await new Promise((resolve) => setTimeout(resolve, drainPollMs))
    }
    for (const timer of this.#timers) clearInterval(timer)
    clearTimeout(this.#pumpTimer)
    clearTimeout(this.#tokensTimer)
    const chunks = this.#held.filter((held) => !held.lost && held.open === 0).map((held) => held.chunk)
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

  #take(held: HeldChunk): void {
    const place = this.#held.findIndex((other) => other.chunk.lane > held.chunk.lane)
    this.#held.splice(place === -1 ? this.#held.length : place, 0, held)
    this.#followTurns()
    this.pump()
  }

  #followTurns(): void {
    this.#turns.follow(this.#held.filter(isBroadcast).map((held) => held.chunk))
  }

  /** A slot, a retry or a chunk came free: fills the window and lets go of what is finished. */
  readonly pump = (): void => {
    if (!this.#submitter) return
    this.#letGo()
    const now = performance.now()
    // a text that has begun comes before all that has not: its other parts are on the handset already
    const full = this.#submitter.resume(now, (at) => this.#pumpAt(at))
    if (!this.#stopping) {
      for (const held of this.#held) {
        if (isBroadcast(held) || this.#marking >= marksAtOnce + urgentMarks) break
        while (this.#mayMark(held, now, urgentMarks) && this.#fill(held, now, full));
      }
      this.#fillFromBroadcasts(now, full)
      this.#claims.lookIfWanted()
    }
  }

  /** Marks batch by batch, each from the broadcast whose turn it is. */
  #fillFromBroadcasts(now: number, full: Full): void {
    if (this.#marking >= marksAtOnce) return
    let waiting = this.#held.filter((held) => isBroadcast(held) && this.#mayMark(held, now))
    while (waiting.length > 0 && this.#marking < marksAtOnce) {
      let next = waiting[0] as HeldChunk
      for (const held of waiting) if (this.#turns.compare(held.chunk, next.chunk) < 0) next = held
      const isFilled = this.#fill(next, now, full)
      if (!isFilled || !this.#mayMark(next, now)) waiting = waiting.filter((held) => held !== next)
    }
  }

  #mayMark(held: HeldChunk, now: number, more = 0): boolean {
    if (this.#marking >= marksAtOnce + more) return false
    return held.mayWrite(now) && held.ready(now) > 0 && !this.#isClosing(held)
  }

  /** Whether its window is about to close: who is left in it waits for the next one. */
  #isClosing({ chunk: { closesAt } }: HeldChunk): boolean {
    return closesAt !== null && this.#options.clock.now().getTime() >= closesAt.getTime() - closingReserveMs
  }

  /**
   * Marks a batch of this chunk for the line whose turn it is, or where its carrier or its caps take no more for now, for
   * one that stands in for it; false when these have too little room.
   */
  #fill(held: HeldChunk, now: number, full: Full): boolean {
    const { routes } = this.#options
    const { shortCodeId } = held.chunk
    const passedOver: Line[] = []
    for (const line of routes.inTurn(shortCodeId, now)) {
      if (line.asksForCarriers && !held.knowsCarriers) {
        held.mustBeListedAnew = true
        return false
      }
      const texts = this.#fillLine(held, line, now, full)
      if (texts > 0) {
        routes.count(shortCodeId, line, texts, passedOver)
        return true
      }
      // one that is merely busy keeps its turn: weights are of texts, not of what each could carry
      if (full.has(line) && !line.isSlowedDown) return false
      passedOver.push(line)
    }
    return false
  }

  /** Marks a batch of this chunk for this line; answers of how many texts. */
  #fillLine(held: HeldChunk, line: Line, now: number, full: Full): number {
    const { shortCodeId } = held.chunk
    if (full.has(line)) return 0
    if (!line.asksForCarriers) return this.#mark(held, line, line.capsFor(shortCodeId), undefined, now, full)
    // the texts to one carrier must not hold up those to others
    const carriers = new Set<string | undefined>(Object.keys(line.connection.carrierMps)).add(undefined)
    for (const carrier of carriers) {
      const among = (recipient: Recipient) => line.carrierOf(recipient) === carrier
      const texts = this.#mark(held, line, line.capsFor(shortCodeId, carrier), among, now, full)
      if (texts > 0) return texts
    }
    return 0
  }

  /**
   * Marks a batch for this line, under these caps, and answers of how many texts: none when nobody is ready or there is
   * too little room for now, which it notes as full.
   */
  #mark(held: HeldChunk, line: Line, caps: CapSet, among: Among | undefined, now: number, full: Full): number {
    const { chunk } = held
    const isUrgent = !isBroadcast(held)
    const ready = held.ready(now, among)
    if (ready === 0 || full.has(line) || full.has(caps)) return 0
    if (caps.isClosed) {
      caps.want(now, 1)
      full.add(caps)
      return 0
    }
    // a text of more parts than can ever be on their way at once takes all there is, and then waits for its own places
    const kept = isUrgent ? 0 : line.kept(now)
    const capacity = Math.min(line.capacity, line.window - kept, caps.capacity)
    const places = Math.min(held.textsFor(line).pduCount, capacity)
    const wanted = Math.min(ready, this.#rowsAtOnce)
    const room = places === 0 ? 0 : Math.max(0, Math.floor((line.freeToMark(caps, isUrgent) - kept) / places))
    // a mark costs nearly the same for few rows as for many: wait a moment for a window's quarter to be free
    const worthwhile = Math.min(wanted, Math.ceil(capacity / 4 / places))
    if (room === 0 || (room < worthwhile && !isUrgent && !line.impatient)) {
      if (room > 0) this.#pumpLater(line)
      else if (line.freeAt(now) > now) this.#pumpAt(line.freeAt(now))
      // what is kept for urgent texts is free for them, but they have had their turn
      full.add(line)
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
    const recipients = held.take(Math.min(wanted, room, affordable), now, among)
    line.reserve(recipients.length * places, caps)
    line.impatient = false
    if (isUrgent) line.noteUrgent(now)
    else this.#turns.count(chunk, recipients.length)
    this.#marking++
    void this.#submitter?.submit(held, line, recipients, places, caps).finally(() => {
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
  #pumpLater(line: Line): void {
    this.#pumpTimer ??= setTimeout(() => {
      this.#pumpTimer = undefined
      for (const each of this.#waitingForCompany) each.impatient = true
      this.#waitingForCompany.clear()
      this.pump()
    }, companyWaitMs)
    this.#waitingForCompany.add(line)
  }

  #letGo(): void {
    const done = this.#held.filter((held) => held.finished || (held.lost && held.open === 0))
    if (done.length === 0) return
    this.#held = this.#held.filter((held) => !done.includes(held))
    this.#followTurns()
    for (const held of done) if (!held.lost) void this.#finish(held.chunk)
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
    const held = this.#held.filter((each) => !each.lost && each.strandedSince === undefined)
    if (held.length === 0) return this.pump()
    const asked = performance.now()
    try {
      const ours = await renewLeases(
        db,
        leaseMs,
        held.map((each) => each.chunk),
      )
      for (const each of held) {
        if (ours.has(each.chunk.id)) {
          each.leaseUntil = asked + leaseMs
          each.cancelled = ours.get(each.chunk.id) === true
        } else if (this.#held.includes(each)) {
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
    const { db, log, routes } = this.#options
    const now = performance.now()
    for (const held of this.#held) {
      const isStranded = !routes.canSend(held.chunk.shortCodeId)
      held.strandedSince = isStranded ? (held.strandedSince ?? now) : undefined
    }
    const given = this.#held.filter(
      (held) =>
        !held.lost &&
        held.open === 0 &&
        (now - (held.strandedSince ?? now) > strandedMs || this.#isClosing(held) || held.mustBeListedAnew),
    )
    if (given.length === 0) return
    for (const held of given) held.lost = true
    await releaseChunks(
      db,
      given.map((held) => held.chunk),
    ).catch((error) => log.warn({ err: error }, 'could not give chunks back; their leases will run out'))
  }
}

const isBroadcast = (held: HeldChunk) => held.chunk.lane === lanes.broadcast
