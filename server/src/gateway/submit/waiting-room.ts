import type { Recipient } from '../../log/chunk.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import type { CapSet } from '../caps/caps.ts'
import { timing } from '../timing.ts'
import type { LeasedChunk } from './leased-chunk.ts'
import type { OutgoingText } from './outgoing-text.ts'

const { requeueBatchMs, tokenBatchMs, waitCheckMs, waitMaxMs } = timing

/** A part that is marked and has a token reserved. */
type WaitingPart = { text: OutgoingText; part: number; since: number }

/** The rest of a text that the carrier has in part; `since` is when it began to wait. */
export type WaitingRest = { text: OutgoingText; since: number }

/** What waits for a time: the rest of a text, marks to be taken back, and recipients to be marked again. */
type Timed =
  | { at: number; kind: 'rest'; rest: WaitingRest }
  | { at: number; kind: 'unmark'; leased: LeasedChunk; recipients: Recipient[]; delayMs: number }
  | { at: number; kind: 'retry'; leased: LeasedChunk; recipients: Recipient[] }

export type WaitingRoomEvents = {
  /** The part's token is ready, or its bind group has a window slot: writes it. */
  onReady(text: OutgoingText, part: number, waitedFor: 'tokens' | 'window slot'): void
  /** The part has waited too long: releases what is reserved for it. */
  onTimeout(text: OutgoingText, part: number): void
  /** These marks are to be taken back, as many of one chunk as came together. */
  onUnmark(leased: LeasedChunk, recipients: Recipient[], delayMs: number): void
  /** There may be something to mark or to write that was not there before. */
  onChange(): void
}

/** Queues by what is waited for; within each, urgent parts go before all others, and both in order. */
class Queues<Target> {
  readonly #urgent = new Map<Target, WaitingPart[]>()
  readonly #others = new Map<Target, WaitingPart[]>()
  /** Urgent ones first. */
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
 * Where marked texts wait, for all of a gateway and with one timer: parts for their tokens or for a window slot, the rest of
 * texts for a time, for room or for a bind, and texts that did not leave for their retry.
 */
export class WaitingRoom {
  readonly #events: WaitingRoomEvents
  readonly #forTokens = new Queues<CapSet>()
  readonly #forSlots = new Queues<BindGroup>()
  // ascending by time
  readonly #timed: Timed[] = []
  readonly #unmarks = new Map<LeasedChunk, Timed & { kind: 'unmark' }>()
  // may be written as soon as there is room for them
  #rests: WaitingRest[] = []
  #timer: NodeJS.Timeout | undefined
  #nextAt = Number.POSITIVE_INFINITY
  #isRunning = false
  #hasMore = false
  #isChanged = false

  constructor(events: WaitingRoomEvents) {
    this.#events = events
  }

  /** The part has a token reserved and waits until that is ready, a moment at most. */
  waitForTokens(text: OutgoingText, part: number): void {
    const since = performance.now()
    this.#forTokens.add(text.caps, { text, part, since })
    if (this.#isRunning) this.#hasMore = true
    else this.#runAt(since)
  }

  /** The part was marked ahead of its window slot and waits for the response that frees one. */
  waitForSlot(text: OutgoingText, part: number): void {
    const since = performance.now()
    this.#forSlots.add(text.group, { text, part, since })
    this.#runAt(since + waitCheckMs)
  }

  /** Window slots of this bind group came free: writes the parts that wait for them. */
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

  /** The rest of a text may be written after this delay, as soon as there is room for it. */
  waitWithRest(text: OutgoingText, delayMs: number): void {
    const since = performance.now()
    if (delayMs > 0) {
      this.#addTimed({ at: since + delayMs, kind: 'rest', rest: { text, since } })
      return
    }
    this.#rests.push({ text, since })
    this.#isChanged = true
    this.#runAt(since)
  }

  /** There was no room for this rest, or it is not known yet whether it may be written. */
  putBack(rest: WaitingRest, delayMs = 0): void {
    if (delayMs === 0) this.#rests.push(rest)
    else this.#addTimed({ at: performance.now() + delayMs, kind: 'rest', rest })
  }

  /** Takes out the rests whose time has come, in order. */
  takeRests(): WaitingRest[] {
    if (this.#rests.length === 0) return this.#rests
    const rests = this.#rests
    this.#rests = []
    return rests
  }

  /** No part of the text has left: its mark is taken back with others of its chunk, and it is retried after the delay. */
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

  /** These recipients of the chunk are queued again, and may be marked after the delay. */
  waitForRetry(leased: LeasedChunk, recipients: Recipient[], delayMs: number): void {
    leased.expect(recipients.length)
    if (delayMs === 0) leased.offerAgain(recipients)
    else this.#addTimed({ at: performance.now() + delayMs, kind: 'retry', leased, recipients })
  }

  #addTimed(timed: Timed): void {
    // nearly all delays are of few lengths, so the place is near the end
    let place = this.#timed.length
    while (place > 0 && (this.#timed[place - 1] as Timed).at > timed.at) place--
    this.#timed.splice(place, 0, timed)
    this.#runAt(timed.at)
  }

  /** Runs at this time, unless it runs sooner anyway. */
  #runAt(at: number): void {
    if (this.#isRunning || at >= this.#nextAt) return
    clearTimeout(this.#timer)
    this.#nextAt = at
    this.#timer = setTimeout(this.#run, Math.max(0, at - performance.now()))
  }

  readonly #run = (): void => {
    this.#nextAt = Number.POSITIVE_INFINITY
    this.#isRunning = true
    this.#hasMore = false
    this.#runTimed(performance.now())
    let next = this.#runTokens()
    const now = performance.now()
    this.#returnLate(now)
    if (!this.#forTokens.isEmpty) {
      // soon enough to give up what waits in vain
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
      if (first.kind === 'rest') this.#rests.push(first.rest)
      else first.leased.offerAgain(first.recipients)
      this.#isChanged = true
    }
  }

  /** Writes the parts whose tokens are ready, gives up those that waited too long, and returns when more will be ready. */
  #runTokens(): number {
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

  #returnLate(now: number): void {
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
