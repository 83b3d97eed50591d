import type { Logger } from 'pino'
import {
  abandonSubmitting,
  type Chunk,
  claimChunks,
  finishChunk,
  releaseChunks,
  renewLeases,
} from '../broadcasts/chunks.queries.ts'
import { listQueued } from '../broadcasts/marks.queries.ts'
import type { Db } from '../db/db.ts'
import type { Clock } from '../lib/clock.ts'
import { lanes } from '../messages/messages.ts'
import type { Binds } from './binds.ts'
import { HeldChunk } from './held-chunk.ts'
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
/** Work that no notice told of is found by asking, so often. */
const pollMs = 250

export type DispatcherOptions = { db: Db; clock: Clock; log: Logger; binds: Binds; instanceId: string; leaseMs: number }

/** Leases chunks, the urgent lanes first, and keeps the window filled from them. */
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
    const mayBegin = this.#submitter.resume(now) && !this.#stopping
    for (const held of this.#held) {
      if (!mayBegin || this.#marking >= marksAtOnce) break
      if (!held.mayWrite(now)) continue
      if (!this.#fill(held, now)) break
    }
    if (!this.#stopping && this.#options.binds.bound > 0 && this.#wantsMore()) this.lookForWork()
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

  /** Marks from this chunk while there are slots; false when there are too few for now. */
  #fill(held: HeldChunk, now: number): boolean {
    const { binds } = this.#options
    // a text of more parts than can ever be on their way at once takes all there is, and then waits for its own slots
    const slots = Math.min(held.text.partCount, binds.capacity)
    if (slots === 0) return false
    for (let ready = held.ready(now); ready > 0 && this.#marking < marksAtOnce; ready = held.ready(now)) {
      const wanted = Math.min(ready, markRows)
      const room = Math.floor(binds.free() / slots)
      if (room === 0) return false
      // a mark costs nearly the same for few rows as for many: wait a moment for a window's quarter to be free
      const worthwhile = Math.min(wanted, Math.ceil(binds.window / 4 / slots))
      if (room < worthwhile && held.chunk.lane === lanes.broadcast && !this.#impatient) {
        this.#pumpLater(patienceMs)
        return false
      }
      const recipients = held.take(Math.min(wanted, room), now)
      binds.reserve(recipients.length * slots)
      this.#impatient = false
      this.#marking++
      void this.#submitter?.submit(held, recipients, slots).finally(() => {
        this.#marking--
        this.pump()
      })
    }
    return true
  }

  // the slots have waited long enough for company
  #impatient = false

  #pumpLater(ms: number): void {
    this.#pumpTimer ??= setTimeout(() => {
      this.#pumpTimer = undefined
      this.#impatient = true
      this.pump()
    }, ms)
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
    const { log, binds } = this.#options
    if (this.#stopping || binds.bound === 0) return
    try {
      const room = singleChunks - this.#inHand().singles
      if (room > 0) this.#drained.singles = (await this.#claimLanes(lanes.system, lanes.transactional, room)) < room
      if (this.#inHand().rows < enoughRows) {
        this.#drained.broadcasts = (await this.#claimLanes(lanes.broadcast, lanes.broadcast, broadcastChunks)) === 0
      }
    } catch (error) {
      log.warn({ err: error }, 'could not lease chunks')
      // the database is away, and the next poll is soon enough to find it back
      this.#drained = { singles: true, broadcasts: true }
    }
    this.pump()
  }

  async #claimLanes(fromLane: number, toLane: number, limit: number): Promise<number> {
    const { db, clock, instanceId, leaseMs } = this.#options
    const asked = performance.now()
    const claim = { owner: instanceId, leaseMs, now: clock.now(), fromLane, toLane, limit }
    const chunks = await claimChunks(db, claim)
    for (const chunk of chunks) {
      if (chunk.epoch > 1) {
        const abandoned = await abandonSubmitting(db, chunk)
        if (abandoned > 0) this.#options.log.warn({ chunk: chunk.id }, 'took a chunk over with texts in doubt')
      }
      const held = new HeldChunk(chunk, await listQueued(db, chunk), asked + leaseMs, leaseMs)
      const place = this.#held.findIndex((other) => other.chunk.lane > chunk.lane)
      this.#held.splice(place === -1 ? this.#held.length : place, 0, held)
      this.pump()
    }
    return chunks.length
  }

  async #renew(): Promise<void> {
    const { db, log, binds, leaseMs } = this.#options
    const held = this.#held.filter((each) => !each.lost)
    // without a bind the leases run out, for another gateway that has one
    if (held.length === 0 || binds.bound === 0) return this.pump()
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
}
