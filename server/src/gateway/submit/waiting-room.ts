import { delayUntil } from '../../lib/timers.ts'
import type { Recipient } from '../../log/chunk.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import type { CapSet } from '../caps/caps.ts'
import { timing } from '../timing.ts'
import type { LeasedChunk } from './leased-chunk.ts'
import type { OutgoingText } from './outgoing-text.ts'

const { requeueBatchMs, tokenBatchMs, waitCheckMs, waitMaxMs } = timing

/** A part of a marked text with a reserved token; `since` is the start of its wait. */
type WaitingPart = { text: OutgoingText; part: number; since: number }

/** The remaining parts of a partial send; `since` is the start of their wait. */
export type RemainingParts = { text: OutgoingText; since: number }

/** Work that is due at a time: to write remaining parts, to unmark texts, or to mark recipients again. */
type Timed =
  | { at: number; kind: 'write'; remaining: RemainingParts }
  | { at: number; kind: 'unmark'; leased: LeasedChunk; recipients: Recipient[]; delayMs: number }
  | { at: number; kind: 'retry'; leased: LeasedChunk; recipients: Recipient[] }

export type WaitingRoomEvents = {
  /** The part can be written: its token is ready, or its bind group has a free window slot. */
  onReady(text: OutgoingText, part: number, waitedFor: 'tokens' | 'window slot'): void
  /** The part has waited too long; what is reserved for it must be released. */
  onTimeout(text: OutgoingText, part: number): void
  /** These texts must be unmarked; they are all texts of one chunk that were added within `requeueBatchMs`. */
  onUnmark(leased: LeasedChunk, recipients: Recipient[], delayMs: number): void
  /** More texts than before may be ready to be marked or written. */
  onChange(): void
}

/** One queue for each set of caps or bind group that parts wait for. Urgent parts come before all others; both are in order. */
class Queues<Target> {
  readonly #urgent = new Map<Target, WaitingPart[]>()
  readonly #others = new Map<Target, WaitingPart[]>()
  /** The queues of urgent parts first. */
  readonly all: ReadonlyArray<Map<Target, WaitingPart[]>> = [this.#urgent, this.#others]

  add(target: Target, waiting: WaitingPart): void {
    const queues = waiting.text.isUrgent ? this.#urgent : this.#others
    const queue = queues.get(target)
    if (queue) queue.push(waiting)
    else queues.set(target, [waiting])
  }

  get isEmpty(): boolean {
    return this.#urgent.size + this.#others.size === 0
  }
}

/**
 * All marked texts of a gateway that cannot be written yet, with one timer: parts that wait for their tokens or a window slot,
 * remaining parts of partial sends that wait for a delay, a window slot or a bind, and texts that wait to be unmarked and retried.
 */
export class WaitingRoom {
  readonly #events: WaitingRoomEvents
  readonly #forTokens = new Queues<CapSet>()
  readonly #forSlots = new Queues<BindGroup>()
  // sorted by time
  readonly #timed: Timed[] = []
  readonly #unmarks = new Map<LeasedChunk, Timed & { kind: 'unmark' }>()
  // can be written as soon as window slots and tokens are free
  #remaining: RemainingParts[] = []
  #timer: NodeJS.Timeout | undefined
  #nextAt = Number.POSITIVE_INFINITY
  #isRunning = false
  #hasMore = false
  #isChanged = false

  constructor(events: WaitingRoomEvents) {
    this.#events = events
  }

  /** Adds a part with a reserved token, until the token is ready; at most for `waitMaxMs`. */
  waitForTokens(text: OutgoingText, part: number): void {
    const since = performance.now()
    this.#forTokens.add(text.caps, { text, part, since })
    if (this.#isRunning) this.#hasMore = true
    else this.#runAt(since)
  }

  /** Adds a part that was marked ahead of its window slot, until a response frees a slot; at most for `waitMaxMs`. */
  waitForSlot(text: OutgoingText, part: number): void {
    const since = performance.now()
    this.#forSlots.add(text.group, { text, part, since })
    this.#runAt(since + waitCheckMs)
  }

  /** Passes as many parts to `onReady` as this bind group has free window slots. */
  slotsFreed(group: BindGroup): void {
    if (this.#forSlots.isEmpty) return
    for (const queues of this.#forSlots.all) {
      const queue = queues.get(group)
      if (!queue) continue
      while (queue.length > 0 && group.emptiest() !== undefined) {
        const { text, part } = queue.shift() as WaitingPart
        this.#events.onReady(text, part, 'window slot')
      }
      if (queue.length === 0 && queues.get(group) === queue) queues.delete(group)
    }
  }

  /** Adds the remaining parts of a text; `takeRemaining` returns them after this delay. */
  waitWithRemaining(text: OutgoingText, delayMs: number): void {
    const since = performance.now()
    if (delayMs > 0) {
      this.#addTimed({ at: since + delayMs, kind: 'write', remaining: { text, since } })
      return
    }
    this.#remaining.push({ text, since })
    this.#isChanged = true
    this.#runAt(since)
  }

  /** Adds remaining parts again that were taken but not written: too few slots or tokens were free, or consent is not checked. */
  putBack(remaining: RemainingParts, delayMs = 0): void {
    if (delayMs === 0) this.#remaining.push(remaining)
    else this.#addTimed({ at: performance.now() + delayMs, kind: 'write', remaining })
  }

  /** Removes and returns the remaining parts whose delays have ended, in order. */
  takeRemaining(): RemainingParts[] {
    if (this.#remaining.length === 0) return this.#remaining
    const taken = this.#remaining
    this.#remaining = []
    return taken
  }

  /** Adds a text of which no part was sent: it is unmarked together with others of its chunk, and retried after the delay. */
  waitForUnmark(leased: LeasedChunk, recipient: Recipient, delayMs: number): void {
    const waiting = this.#unmarks.get(leased)
    if (waiting) {
      waiting.recipients.push(recipient)
      waiting.delayMs = Math.max(waiting.delayMs, delayMs)
      return
    }
    const at = performance.now() + requeueBatchMs
    const unmark = { at, kind: 'unmark' as const, leased, recipients: [recipient], delayMs }
    this.#unmarks.set(leased, unmark)
    this.#addTimed(unmark)
  }

  /** Adds recipients of the chunk that were requeued; they can be marked again after the delay. */
  waitForRetry(leased: LeasedChunk, recipients: Recipient[], delayMs: number): void {
    leased.addDelayed(recipients.length)
    if (delayMs === 0) leased.requeue(recipients)
    else this.#addTimed({ at: performance.now() + delayMs, kind: 'retry', leased, recipients })
  }

  #addTimed(timed: Timed): void {
    // nearly all delays have one of a few lengths, so the index is near the end
    let index = this.#timed.length
    while (index > 0 && (this.#timed[index - 1] as Timed).at > timed.at) index--
    this.#timed.splice(index, 0, timed)
    this.#runAt(timed.at)
  }

  /** Sets the timer to this time, unless it fires sooner. */
  #runAt(at: number): void {
    if (this.#isRunning || at >= this.#nextAt) return
    clearTimeout(this.#timer)
    this.#nextAt = at
    this.#timer = setTimeout(this.#run, delayUntil(at, performance.now()))
  }

  readonly #run = (): void => {
    this.#nextAt = Number.POSITIVE_INFINITY
    this.#isRunning = true
    this.#hasMore = false
    this.#runTimed(performance.now())
    let next = this.#writeReadyParts()
    const now = performance.now()
    this.#endSlotWaits(now)
    if (!this.#forTokens.isEmpty) {
      // at least every waitCheckMs, to find parts that have waited too long
      next = this.#hasMore ? now : now + Math.min(Math.max(next - now, tokenBatchMs), waitCheckMs)
    }
    if (!this.#forSlots.isEmpty) next = Math.min(next, now + waitCheckMs)
    next = Math.min(next, this.#timed[0]?.at ?? Number.POSITIVE_INFINITY)
    this.#isRunning = false
    if (next < Number.POSITIVE_INFINITY) this.#runAt(next)
    if (!this.#isChanged) return
    this.#isChanged = false
    this.#events.onChange()
  }

  #runTimed(now: number): void {
    for (let first = this.#timed[0]; first && first.at <= now; first = this.#timed[0]) {
      this.#timed.shift()
      if (first.kind === 'unmark') {
        this.#unmarks.delete(first.leased)
        this.#events.onUnmark(first.leased, first.recipients, first.delayMs)
        continue
      }
      if (first.kind === 'write') this.#remaining.push(first.remaining)
      else first.leased.requeue(first.recipients)
      this.#isChanged = true
    }
  }

  /** Ends the wait of parts whose tokens are ready or that have waited too long; returns when the next token will be ready. */
  #writeReadyParts(): number {
    let next = Number.POSITIVE_INFINITY
    for (const queues of this.#forTokens.all) {
      for (const [caps, queue] of queues) {
        next = Math.min(next, this.#drain(caps, queue))
        if (queue.length === 0) queues.delete(caps)
      }
    }
    return next
  }

  #drain(caps: CapSet, queue: WaitingPart[]): number {
    let done = 0
    let now = performance.now()
    for (; done < queue.length; done++, now = performance.now()) {
      const { text, part, since } = queue[done] as WaitingPart
      if (caps.isReady(now)) this.#events.onReady(text, part, 'tokens')
      else if (now - since > waitMaxMs) this.#events.onTimeout(text, part)
      else break
    }
    queue.splice(0, done)
    return queue.length === 0 ? Number.POSITIVE_INFINITY : caps.readyAt(now)
  }

  /** Ends the wait of parts that have waited too long for a window slot. */
  #endSlotWaits(now: number): void {
    for (const queues of this.#forSlots.all) {
      for (const [group, queue] of queues) {
        while (queue[0] && now - queue[0].since > waitMaxMs) {
          const { text, part } = queue.shift() as WaitingPart
          this.#events.onTimeout(text, part)
        }
        if (queue.length === 0) queues.delete(group)
      }
    }
  }
}
