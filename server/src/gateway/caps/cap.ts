import { timing } from '../timing.ts'

const { burstMs, capBatchMs, capIdleMs, capSpareMs, reserveAheadMaxMs, tokenReturnMs } = timing
/** A delay is made up for at this multiple of the cap's pace, within the same second. */
const catchUp = 1.25

/**
 * What this gateway may write of one cap, exact by the times of its own writes: no second that slides holds more than its
 * share. Within a second writes are spread evenly, because a bunch of writes may arrive closer to the bunch before it. A token
 * may be reserved a little before it comes free; it is used when it is `ready`. All times are monotonic milliseconds.
 */
export class Cap {
  #limit = 0
  #until = Number.NEGATIVE_INFINITY
  #lifted = false
  // the times of the last second's writes, a ring whose length is a power of two
  #times = new Float64Array(16)
  #head = 0
  #size = 0
  // this many of them were written before the share was cut, when it was #outer
  #before = 0
  #outer = 0
  #reserved = 0
  // when the next write is due if writes are spread evenly
  #due = Number.NEGATIVE_INFINITY
  #shortAt = Number.NEGATIVE_INFINITY
  // pairs of ascending times: writes between the two reached the carrier only at the second
  #bunches: Array<{ from: number; until: number }> = []
  // how long texts were marked before they could be written; slower marks count more
  #markingMs = 20
  readonly #onShortage: () => void

  /** `onShortage` is called when there are too few tokens again after a pause. */
  constructor(onShortage: () => void = () => {}) {
    this.#onShortage = onShortage
  }

  /** Writes allowed in any second from now on, until the lease of the share ends. */
  get limit(): number {
    return this.#limit
  }

  /** Sets this gateway's share of the cap, which may be larger or smaller than before. */
  grant(limit: number, until: number, now: number): void {
    if (limit < this.#limit) {
      this.#forget(now)
      // a second that has begun may end with the old share, one that begins now may not; a second cut within the first
      // one's second counts from the first
      if (this.#before === 0) {
        this.#outer = Math.max(this.#size, this.#limit)
        this.#before = this.#size
      }
    }
    this.#limit = limit
    this.#until = until
    // the long pauses of a small share end with it
    this.#due = Math.min(this.#due, now + Math.max(burstMs, this.#spacing))
  }

  /** Makes the share smaller, until its lease ends. */
  cut(limit: number, now: number): void {
    if (limit < this.#limit) this.grant(limit, this.#until, now)
  }

  /** The cap exists no more: tokens that are reserved may be used. */
  lift(): void {
    this.#lifted = true
  }

  /** The smallest share that it has kept to for a whole second, and keeps to: the rest is free for other gateways. */
  effectiveLimit(now: number): number {
    this.#forget(now)
    if (this.#size > this.#limit) return Math.max(this.#outer, this.#limit)
    this.#before = 0
    return this.#limit
  }

  /** There are too few tokens for the texts that could be marked. */
  reportShortage(now: number): void {
    const wasShort = this.hadShortage(now)
    this.#shortAt = now
    if (!wasShort) this.#onShortage()
  }

  /** Whether there were too few lately. */
  hadShortage(now: number): boolean {
    return now - this.#shortAt < capIdleMs
  }

  /** Tokens that can ever be reserved at once. */
  get capacity(): number {
    if (this.#lifted) return Number.POSITIVE_INFINITY
    return Math.min(this.#limit, this.#evenly(this.#ahead))
  }

  /** Tokens that justify a mark. */
  get batch(): number {
    return this.#lifted ? 1 : Math.min(this.capacity, Math.ceil((this.#limit * capBatchMs) / 1_000))
  }

  /** Tokens that may be reserved now: the free ones, and those that come free while texts are marked. */
  free(now: number): number {
    if (this.#lifted) return Number.POSITIVE_INFINITY
    if (now >= this.#until || this.#limit === 0) return 0
    this.#forget(now)
    const then = now + this.#ahead
    const left = this.#size - this.#countUntil(this.#cutoff(then))
    const evenly = this.#evenly(then - Math.max(this.#due, now))
    return Math.max(0, Math.min(this.#room(left), evenly) - this.#reserved)
  }

  /** When this many may be reserved, as far as is known. */
  freeAt(now: number, tokens: number): number {
    if (this.#lifted) return now
    if (now >= this.#until || this.#limit === 0) return Number.POSITIVE_INFINITY
    const wanted = this.#reserved + Math.min(tokens, this.capacity)
    const evenly = Math.max(this.#due, now) + (wanted - 1) * this.#spacing
    const counted = this.#whenRoomFor(Math.min(wanted, this.#limit), now)
    return Math.max(now, Math.max(evenly, counted) - this.#ahead)
  }

  reserve(tokens: number): void {
    this.#reserved += tokens
  }

  /** Gives back tokens that were not used. */
  release(tokens: number): void {
    this.#reserved -= tokens
  }

  /** Reserved tokens that may be used now. */
  ready(now: number): number {
    if (this.#lifted) return Number.POSITIVE_INFINITY
    if (now >= this.#until) return 0
    this.#forget(now)
    const room = this.#room(this.#size)
    if (room <= 0) return 0
    const evenly = this.#evenly(now + burstMs - Math.max(this.#due, now))
    return Math.max(0, Math.min(room, evenly))
  }

  /** When the next reserved token may be used; infinity when that depends on another share. */
  readyAt(now: number): number {
    if (this.#lifted) return now
    if (now >= this.#until || this.#limit === 0) return Number.POSITIVE_INFINITY
    return Math.max(now, this.#due - burstMs, this.#whenRoomFor(1, now))
  }

  /** One reserved token is used now. */
  use(now: number): void {
    this.#reserved--
    if (this.#lifted) return
    if (this.#size === this.#times.length) this.#grow()
    this.#times[(this.#head + this.#size) & (this.#times.length - 1)] = now
    this.#size++
    this.#due = Math.max(this.#due, now) + this.#spacing
  }

  /** Writes between these two times reached the carrier at the second one. */
  noteBunch(from: number, until: number): void {
    const last = this.#bunches.at(-1)
    if (!last || from > last.from + 1) this.#bunches.push({ from, until: Math.max(until, last?.until ?? 0) })
    else last.until = Math.max(last.until, until)
  }

  /** The mark of texts with reserved tokens took this long. */
  noteMarking(ms: number): void {
    this.#markingMs = ms > this.#markingMs ? ms : this.#markingMs + (ms - this.#markingMs) / 20
  }

  get #spacing(): number {
    return 1_000 / (this.#limit * catchUp)
  }

  /** Writes that fit into this time when they are spread evenly, one at its beginning; a rounding error is forgiven. */
  #evenly(ms: number): number {
    return Math.floor(ms / this.#spacing + 1e-6) + 1
  }

  get #ahead(): number {
    // rare tokens are reserved earlier, so that a text of several parts gets all of its tokens
    return Math.min(reserveAheadMaxMs, Math.max(capBatchMs + 1.25 * this.#markingMs + capSpareMs, 2 * this.#spacing))
  }

  get #most(): number {
    return this.#before > 0 ? Math.max(this.#outer, this.#limit) : this.#limit
  }

  /** Writes that are left in the second of the last of `size` writes. */
  #room(size: number): number {
    const before = Math.max(0, this.#before - (this.#size - size))
    if (before === 0) return this.#limit - size
    return Math.min(this.#most - size, this.#limit - (size - before))
  }

  /** When there is room for this many writes. */
  #whenRoomFor(writes: number, now: number): number {
    this.#forget(now)
    if (this.#room(this.#size) >= writes) return now
    // with writes from before a cut, either those after it must expire as well, or as many of the old ones
    const gone =
      this.#before > 0 && this.#size - this.#before + writes <= this.#limit
        ? this.#size + writes - this.#most
        : this.#size + writes - this.#limit
    return gone > this.#size ? Number.POSITIVE_INFINITY : this.#backAt(this.#timeAt(gone - 1))
  }

  #timeAt(index: number): number {
    return this.#times[(this.#head + index) & (this.#times.length - 1)] ?? 0
  }

  /** When the token of a write at this time returns. */
  #backAt(time: number): number {
    const bunch = this.#bunches.findLast(({ from }) => from <= time)
    return Math.max(time + tokenReturnMs, bunch && time <= bunch.until ? bunch.until + 1_000 : 0)
  }

  /** Tokens used up to the returned time are back by `now`. */
  #cutoff(now: number): number {
    const bunch = this.#bunches.find(({ until }) => until + 1_000 > now)
    return Math.min(now - tokenReturnMs, bunch ? bunch.from - 1e-3 : now)
  }

  /** Drops the writes whose tokens have returned. */
  #forget(now: number): void {
    const until = this.#cutoff(now)
    while (this.#bunches.length > 0 && (this.#bunches[0]?.until ?? 0) + tokenReturnMs < now) this.#bunches.shift()
    while (this.#size > 0 && this.#timeAt(0) <= until) {
      this.#head = (this.#head + 1) & (this.#times.length - 1)
      this.#size--
      if (this.#before > 0) this.#before--
    }
  }

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
    const times = new Float64Array(this.#times.length * 2)
    for (let index = 0; index < this.#size; index++) times[index] = this.#timeAt(index)
    this.#times = times
    this.#head = 0
  }
}
