import type { Logger } from 'pino'
import {
  abandonSubmitting,
  type Chunk,
  claimChunks,
  closingReserveMs,
  finishChunk,
  releaseChunks,
  renewLeases,
} from '../broadcasts/chunks.queries.ts'
import { listQueued, listQueuedWithCarriers, type Recipient } from '../broadcasts/marks.queries.ts'
import type { Db } from '../db/db.ts'
import type { Clock } from '../lib/clock.ts'
import { lanes } from '../messages/messages.ts'
import type { CapSet } from './caps.ts'
import { HeldChunk } from './held-chunk.ts'
import type { Line } from './line.ts'
import type { Routes, SendableCodes } from './routes.ts'
import type { Submitter } from './submit.ts'

/** Recipients of one mark: as large as the write it costs wants, as small as what one death may put in doubt. */
const markRows = 250
/** Marks that may be under way beside each other. */
const marksAtOnce = 3
/** Recipients in hand below which more broadcast chunks are leased, and how many chunks at a time. */
const enoughRows = 3_000
const broadcastChunks = 4
/** Texts to one number in hand at most: each is a chunk of its own, to be renewed, and others may send them as well. */
const singleChunks = 100
/** How long slots that are too few for a full mark wait for more. */
const patienceMs = 5
/** A chunk that no line of ours can take is kept so long, for a bind that comes back, before others may have it. */
const strandedMs = 1_000
/** Work that no notice told of is found by asking, so often. */
const pollMs = 250

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
  // in the order of lanes, and of their ids within a lane
  #held: HeldChunk[] = []
  #marking = 0
  #claiming = false
  #claimAgain = false
  #stopping = false
  #pumpTimer: NodeJS.Timeout | undefined
  readonly #waitingForCompany = new Set<Line>()
  #timers: NodeJS.Timeout[] = []

  constructor(options: DispatcherOptions) {
    this.#options = options
  }

  start(submitter: Submitter): void {
    this.#submitter = submitter
    this.#timers.push(setInterval(() => this.lookForWork(), pollMs))
    this.#timers.push(setInterval(() => void this.#renew(), Math.max(50, this.#options.leaseMs / 5)))
    this.lookForWork()
  }

  /** Takes no more work, waits until what is on its way is answered and recorded, and gives the chunks back. */
  async stop(deadlineMs: number): Promise<void> {
    this.#stopping = true
    const until = performance.now() + deadlineMs
    while (performance.now() < until && (this.#marking > 0 || this.#held.some((held) => held.open > 0))) {
      await new Promise((resolve) => setTimeout(resolve, 10))
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

  /** There may be chunks to lease: a notice came, or the time to ask. */
  lookForWork(): void {
    if (this.#claiming) {
      this.#claimAgain = true
      return
    }
    this.#claiming = true
    void this.#claim().finally(() => {
      this.#claiming = false
      if (this.#claimAgain && !this.#stopping) {
        this.#claimAgain = false
        this.lookForWork()
      }
    })
  }

  /** A slot, a retry or a chunk came free: fills the window and lets go of what is finished. */
  readonly pump = (): void => {
    if (!this.#submitter) return
    this.#letGo()
    const now = performance.now()
    // a text that has begun comes before all that has not: its other parts are on the handset already
    const full = this.#submitter.resume(now, (at) => this.#pumpAt(at))
    for (const held of this.#held) {
      if (this.#stopping || this.#marking >= marksAtOnce) break
      if (held.mayWrite(now) && held.ready(now) > 0 && !this.#isClosing(held)) this.#fill(held, now, full)
    }
    if (!this.#stopping && this.#wantsMore()) this.lookForWork()
  }

  /** Whether its window is about to close: who is left in it waits for the next one. */
  #isClosing({ chunk: { closesAt } }: HeldChunk): boolean {
    return closesAt !== null && this.#options.clock.now().getTime() >= closesAt.getTime() - closingReserveMs
  }

  // there were no more chunks of this kind when last asked: the next notice or poll asks again
  #drained = { singles: false, broadcasts: false }

  #wantsMore(): boolean {
    const { singles, rows } = this.#inHand()
    return (singles < singleChunks / 2 && !this.#drained.singles) || (rows < enoughRows && !this.#drained.broadcasts)
  }

  /** Chunks of one text, and recipients of broadcasts. */
  #inHand(): { singles: number; rows: number } {
    let singles = 0
    let rows = 0
    for (const held of this.#held) {
      if (held.chunk.lane === lanes.broadcast) rows += held.left
      else singles++
    }
    return { singles, rows }
  }

  /** Marks from this chunk while the line whose turn it is has places, and its caps tokens. */
  #fill(held: HeldChunk, now: number, full: Full): void {
    const { shortCodeId } = held.chunk
    while (this.#marking < marksAtOnce && held.ready(now) > 0) {
      const line = this.#options.routes.next(shortCodeId, now)
      if (!line || full.has(line)) return
      if (!line.asksForCarriers) {
        if (!this.#mark(held, line, line.capsFor(shortCodeId), undefined, now, full)) return
        continue
      }
      if (!held.knowsCarriers) {
        held.mustBeListedAnew = true
        return
      }
      // the texts to one carrier must not hold up those to others
      const carriers = new Set<string | undefined>(Object.keys(line.connection.carrierMps)).add(undefined)
      const hasMarked = [...carriers].some((carrier) => {
        const among = (recipient: Recipient) => line.carrierOf(recipient) === carrier
        return this.#mark(held, line, line.capsFor(shortCodeId, carrier), among, now, full)
      })
      if (!hasMarked) return
    }
  }

  /**
   * Marks a batch for this line, under these caps; false when nobody is ready or there is too little room for now, which
   * it notes as full.
   */
  #mark(held: HeldChunk, line: Line, caps: CapSet, among: Among | undefined, now: number, full: Full): boolean {
    const { shortCodeId, lane } = held.chunk
    const ready = held.ready(now, among)
    if (ready === 0 || full.has(line) || full.has(caps)) return false
    caps.want(now)
    if (caps.isClosed) {
      full.add(caps)
      return false
    }
    // a text of more parts than can ever be on their way at once takes all there is, and then waits for its own places
    const places = Math.min(held.textsFor(line).pduCount, line.window, caps.capacity)
    const wanted = Math.min(ready, markRows)
    const room = places === 0 ? 0 : Math.floor(line.free() / places)
    // a mark costs nearly the same for few rows as for many: wait a moment for a window's quarter to be free
    const worthwhile = Math.min(wanted, Math.ceil(line.window / 4 / places))
    if (room < worthwhile && lane === lanes.broadcast && !line.impatient) {
      if (room > 0) this.#pumpLater(line)
      full.add(line)
      return false
    }
    if (room === 0) {
      full.add(line)
      return false
    }
    const enough = lane === lanes.broadcast ? Math.min(wanted, Math.ceil(caps.batch / places)) : 1
    const affordable = Math.floor(caps.free(now) / places)
    if (affordable < enough) {
      full.add(caps)
      this.#pumpAt(caps.freeAt(now, enough * places))
      return false
    }
    const recipients = held.take(Math.min(wanted, room, affordable), now, among)
    line.reserve(recipients.length * places, caps)
    line.impatient = false
    this.#options.routes.count(shortCodeId, line, recipients.length)
    this.#marking++
    void this.#submitter?.submit(held, line, recipients, places, caps).finally(() => {
      this.#marking--
      this.pump()
    })
    return true
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
    }, patienceMs)
    this.#waitingForCompany.add(line)
  }

  #letGo(): void {
    const done = this.#held.filter((held) => held.finished || (held.lost && held.open === 0))
    if (done.length === 0) return
    this.#held = this.#held.filter((held) => !done.includes(held))
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

  async #claim(): Promise<void> {
    const { log, routes } = this.#options
    const codes = routes.sendable()
    if (this.#stopping || !codes) return
    try {
      const room = singleChunks - this.#inHand().singles
      if (room > 0)
        this.#drained.singles = (await this.#claimLanes(lanes.system, lanes.transactional, codes, room)) < room
      if (this.#inHand().rows < enoughRows) {
        this.#drained.broadcasts =
          (await this.#claimLanes(lanes.broadcast, lanes.broadcast, codes, broadcastChunks)) === 0
      }
    } catch (error) {
      log.warn({ err: error }, 'could not lease chunks')
      // the database is away, and the next poll is soon enough to find it back
      this.#drained = { singles: true, broadcasts: true }
    }
    this.pump()
  }

  async #claimLanes(fromLane: number, toLane: number, codes: SendableCodes, limit: number): Promise<number> {
    const { db, clock, instanceId, leaseMs } = this.#options
    const asked = performance.now()
    const claim = { owner: instanceId, leaseMs, now: clock.now(), fromLane, toLane, codes, limit }
    const chunks = await claimChunks(db, claim)
    for (const chunk of chunks) {
      if (chunk.epoch > 1) {
        const abandoned = await abandonSubmitting(db, chunk)
        if (abandoned > 0) this.#options.log.warn({ chunk: chunk.id }, 'took a chunk over with texts in doubt')
      }
      const asksForCarriers = this.#options.routes.asksForCarriers(chunk.shortCodeId)
      const queue = await (asksForCarriers ? listQueuedWithCarriers(db, chunk) : listQueued(db, chunk))
      const held = new HeldChunk(chunk, queue, asked + leaseMs, leaseMs, asksForCarriers)
      const place = this.#held.findIndex((other) => other.chunk.lane > chunk.lane)
      this.#held.splice(place === -1 ? this.#held.length : place, 0, held)
      this.pump()
    }
    return chunks.length
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
