/** Clock for deadlines: monotonic milliseconds and one kind of timer. Tests pass their own. */
export type MonotonicClock = {
  now(): number
  setTimeout(run: () => void, ms: number): unknown
  clearTimeout(timer: unknown): void
}

export const monotonicClock: MonotonicClock = {
  now: () => performance.now(),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
}

/** A timer this late means that our process stood still, not the peer. */
const STALL_MS = 100

/**
 * One timer that rings at the earliest requested time. After a standstill of the process (SIGSTOP, a long garbage
 * collection) it rings one turn of the event loop later, so that responses in the socket buffer are read before their
 * requests time out.
 */
export class DeadlineTimer {
  readonly #clock: MonotonicClock
  readonly #ring: () => void
  #timer: unknown
  #due = Number.POSITIVE_INFINITY
  #stalled = false

  constructor(clock: MonotonicClock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  ringAt(due: number) {
    if (due >= this.#due) return
    this.#clock.clearTimeout(this.#timer)
    this.#due = due
    this.#timer = this.#clock.setTimeout(this.#fire, Math.max(1, Math.ceil(due - this.#clock.now())))
  }

  clear() {
    this.#clock.clearTimeout(this.#timer)
    this.#due = Number.POSITIVE_INFINITY
  }

  #fire = () => {
    const now = this.#clock.now()
    this.#stalled = !this.#stalled && now - this.#due > STALL_MS
    this.#due = Number.POSITIVE_INFINITY
    if (this.#stalled) this.ringAt(now)
    else this.#ring()
  }
}
