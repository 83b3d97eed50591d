import { timing } from '../timing.ts'

const { burstMs, capBatchMs, capIdleMs, capSpareMs, reserveAheadMaxMs, tokenReturnMs } = timing
/** Catch-up rate after a delay, as a multiple of the share: a delay is made up for within the same second. */
const catchUpRate = 1.25

/**
 * What this gateway may write under one cap, by the times of its own writes: no sliding second contains more writes than its
 * share. Writes are spaced evenly within a second, because a burst of writes may reach the carrier closer to the previous
 * burst. A token can be reserved shortly before it is free; it may be used when `ready` counts it. All times are in monotonic
 * milliseconds.
 */
export class Cap {
  // the share, in writes per second, and the end of its lease
  #limit = 0
  #leaseUntil = Number.NEGATIVE_INFINITY
  #isLifted = false
  // write times whose tokens have not returned: a ring buffer whose length is a power of two
  #writeTimes = new Float64Array(16)
  #head = 0
  #size = 0
  // how many of these writes were made before the share was cut, and the limit until then
  #writesBeforeCut = 0
  #limitBeforeCut = 0
  #reserved = 0
  // when the next write is due if writes are spaced evenly
  #nextDueAt = Number.NEGATIVE_INFINITY
  #shortageAt = Number.NEGATIVE_INFINITY
  // in ascending order: writes between `from` and `until` reached the carrier at `until`
  #bunches: Array<{ from: number; until: number }> = []
  // average duration of a mark; a slower mark replaces it immediately
  #markingMs = 20
  readonly #onShortage: () => void

  /** `onShortage` is called at the first shortage of tokens after `capIdleMs` without one. */
  constructor(onShortage: () => void = () => {}) {
    this.#onShortage = onShortage
  }

  /** Maximum number of writes in any second that starts now, until the lease of the share ends. */
  get limit(): number {
    return this.#limit
  }

  /** Sets this gateway's share of the cap, larger or smaller than before, and the end of its lease. */
  grant(limit: number, leaseUntil: number, now: number): void {
    if (limit < this.#limit) {
      this.#dropReturned(now)
      // A second that started before the cut may end with the old share; one that starts after it may not. A second cut within
      // a second of the first one is counted from the first one.
      if (this.#writesBeforeCut === 0) {
        this.#limitBeforeCut = Math.max(this.#size, this.#limit)
        this.#writesBeforeCut = this.#size
      }
    }
    this.#limit = limit
    this.#leaseUntil = leaseUntil
    // the wide spacing of a small share must not delay the first write of a larger one
    this.#nextDueAt = Math.min(this.#nextDueAt, now + Math.max(burstMs, this.#spacingMs))
  }

  /** Reduces the share until its lease ends; does nothing if the share is not larger than `limit`. */
  cut(limit: number, now: number): void {
    if (limit < this.#limit) this.grant(limit, this.#leaseUntil, now)
  }

  /** Removes the limit because the cap was deleted: reserved tokens may be used immediately. */
  lift(): void {
    this.#isLifted = true
  }

  /** The share that writes have respected for a whole second; other gateways may lease the rest of the cap. */
  effectiveLimit(now: number): number {
    this.#dropReturned(now)
    if (this.#size > this.#limit) return Math.max(this.#limitBeforeCut, this.#limit)
    this.#writesBeforeCut = 0
    return this.#limit
  }

  /** Notes that there were too few tokens for the texts that could have been marked. */
  reportShortage(now: number): void {
    const wasShort = this.hadShortage(now)
    this.#shortageAt = now
    if (!wasShort) this.#onShortage()
  }

  /** Whether there was a shortage of tokens within the last `capIdleMs`. */
  hadShortage(now: number): boolean {
    return now - this.#shortageAt < capIdleMs
  }

  /** Maximum number of tokens that can be reserved at one time. */
  get capacity(): number {
    if (this.#isLifted) return Number.POSITIVE_INFINITY
    return Math.min(this.#limit, this.#spacedWrites(this.#reserveAheadMs))
  }

  /** Minimum number of free tokens that are worth a mark. */
  get minBatch(): number {
    return this.#isLifted ? 1 : Math.min(this.capacity, Math.ceil((this.#limit * capBatchMs) / 1_000))
  }

  /** Tokens that can be reserved now: the free ones, and those that become free while texts are marked. */
  free(now: number): number {
    if (this.#isLifted) return Number.POSITIVE_INFINITY
    if (now >= this.#leaseUntil || this.#limit === 0) return 0
    this.#dropReturned(now)
    const then = now + this.#reserveAheadMs
    const unreturned = this.#size - this.#countUntil(this.#returnedBefore(then))
    const spaced = this.#spacedWrites(then - Math.max(this.#nextDueAt, now))
    return Math.max(0, Math.min(this.#allowedAfter(unreturned), spaced) - this.#reserved)
  }

  /** The earliest time at which this many tokens can be reserved, as far as it is known; infinity without a share. */
  freeAt(now: number, tokens: number): number {
    if (this.#isLifted) return now
    if (now >= this.#leaseUntil || this.#limit === 0) return Number.POSITIVE_INFINITY
    const writes = this.#reserved + Math.min(tokens, this.capacity)
    const spacedAt = Math.max(this.#nextDueAt, now) + (writes - 1) * this.#spacingMs
    const allowedAt = this.#allowedAt(Math.min(writes, this.#limit), now)
    return Math.max(now, Math.max(spacedAt, allowedAt) - this.#reserveAheadMs)
  }

  reserve(tokens: number): void {
    this.#reserved += tokens
  }

  /** Releases reserved tokens that were not used. */
  release(tokens: number): void {
    this.#reserved -= tokens
  }

  /** Number of reserved tokens that may be used now. */
  ready(now: number): number {
    if (this.#isLifted) return Number.POSITIVE_INFINITY
    if (now >= this.#leaseUntil) return 0
    this.#dropReturned(now)
    const allowed = this.#allowedAfter(this.#size)
    if (allowed <= 0) return 0
    const spaced = this.#spacedWrites(now + burstMs - Math.max(this.#nextDueAt, now))
    return Math.max(0, Math.min(allowed, spaced))
  }

  /** When the next reserved token may be used; infinity if a larger share or a new lease is needed first. */
  readyAt(now: number): number {
    if (this.#isLifted) return now
    if (now >= this.#leaseUntil || this.#limit === 0) return Number.POSITIVE_INFINITY
    return Math.max(now, this.#nextDueAt - burstMs, this.#allowedAt(1, now))
  }

  /** Uses one reserved token for a write at this time. */
  use(now: number): void {
    this.#reserved--
    if (this.#isLifted) return
    if (this.#size === this.#writeTimes.length) this.#grow()
    this.#writeTimes[(this.#head + this.#size) & (this.#writeTimes.length - 1)] = now
    this.#size++
    this.#nextDueAt = Math.max(this.#nextDueAt, now) + this.#spacingMs
  }

  /** Notes that writes between `from` and `until` reached the carrier at `until`, so their tokens return a second later. */
  noteBunch(from: number, until: number): void {
    const last = this.#bunches.at(-1)
    if (!last || from > last.from + 1) this.#bunches.push({ from, until: Math.max(until, last?.until ?? 0) })
    else last.until = Math.max(last.until, until)
  }

  /** Notes the duration of a mark whose texts had tokens reserved. */
  noteMarking(ms: number): void {
    this.#markingMs = ms > this.#markingMs ? ms : this.#markingMs + (ms - this.#markingMs) / 20
  }

  get #spacingMs(): number {
    return 1_000 / (this.#limit * catchUpRate)
  }

  /** Number of evenly spaced writes that fit into this time, one of them at its start; tolerates rounding errors. */
  #spacedWrites(ms: number): number {
    return Math.floor(ms / this.#spacingMs + 1e-6) + 1
  }

  /** How long before it is ready a token can be reserved. */
  get #reserveAheadMs(): number {
    // tokens of a small share are reserved earlier, so that a text of several parts gets all of its tokens
    return Math.min(reserveAheadMaxMs, Math.max(capBatchMs + 1.25 * this.#markingMs + capSpareMs, 2 * this.#spacingMs))
  }

  /** Maximum number of writes in the current second. */
  get #maxInSecond(): number {
    return this.#writesBeforeCut > 0 ? Math.max(this.#limitBeforeCut, this.#limit) : this.#limit
  }

  /** Number of further writes allowed in a second that contains the latest `size` writes. */
  #allowedAfter(size: number): number {
    const before = Math.max(0, this.#writesBeforeCut - (this.#size - size))
    if (before === 0) return this.#limit - size
    return Math.min(this.#maxInSecond - size, this.#limit - (size - before))
  }

  /** When this many further writes are allowed. */
  #allowedAt(writes: number, now: number): number {
    this.#dropReturned(now)
    if (this.#allowedAfter(this.#size) >= writes) return now
    // if the writes since a cut and these fit into the new limit, only the limit before the cut counts: fewer tokens must return
    const needed =
      this.#writesBeforeCut > 0 && this.#size - this.#writesBeforeCut + writes <= this.#limit
        ? this.#size + writes - this.#maxInSecond
        : this.#size + writes - this.#limit
    return needed > this.#size ? Number.POSITIVE_INFINITY : this.#returnsAt(this.#timeAt(needed - 1))
  }

  #timeAt(index: number): number {
    return this.#writeTimes[(this.#head + index) & (this.#writeTimes.length - 1)] ?? 0
  }

  /** When the token of a write at this time returns. */
  #returnsAt(time: number): number {
    const bunch = this.#bunches.findLast(({ from }) => from <= time)
    return Math.max(time + tokenReturnMs, bunch && time <= bunch.until ? bunch.until + 1_000 : 0)
  }

  /** The latest write time whose token has returned by `now`, as have those of all earlier writes. */
  #returnedBefore(now: number): number {
    const bunch = this.#bunches.find(({ until }) => until + 1_000 > now)
    return Math.min(now - tokenReturnMs, bunch ? bunch.from - 1e-3 : now)
  }

  /** Drops the writes whose tokens have returned. */
  #dropReturned(now: number): void {
    const until = this.#returnedBefore(now)
    while (this.#bunches.length > 0 && (this.#bunches[0]?.until ?? 0) + tokenReturnMs < now) this.#bunches.shift()
    while (this.#size > 0 && this.#timeAt(0) <= until) {
      this.#head = (this.#head + 1) & (this.#writeTimes.length - 1)
      this.#size--
      if (this.#writesBeforeCut > 0) this.#writesBeforeCut--
    }
  }

  /** Number of writes at or before this time, by binary search. */
  #countUntil(time: number): number {
    let low = 0
    for (let high = this.#size; low < high; ) {
      const middle = (low + high) >> 1
      if (this.#timeAt(middle) <= time) low = middle + 1
      else high = middle
    }
    return low
  }

  #grow(): void {
    const times = new Float64Array(this.#writeTimes.length * 2)
    for (let index = 0; index < this.#size; index++) times[index] = this.#timeAt(index)
    this.#writeTimes = times
    this.#head = 0
  }
}
