/** Clock for deadlines: monotonic milliseconds and timers. Tests pass a fake clock. */
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

/** Minimum lateness of a timer that indicates a standstill of our process rather than silence of the peer. */
const STALL_MS = 100

/** The longest delay of a timer: Node fires a longer one at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1

/**
 * One timer that fires at the earliest requested time. After a standstill of the process (SIGSTOP, a long garbage
 * collection) it fires one turn of the event loop later, so that responses in the socket buffer are read before their
 * requests time out.
 */
export class DeadlineTimer {
  readonly #clock: MonotonicClock
  readonly #onDeadline: () => void
  #timer: unknown
  #due = Number.POSITIVE_INFINITY
  #stalled = false

  constructor(clock: MonotonicClock, onDeadline: () => void) {
    this.#clock = clock
    this.#onDeadline = onDeadline
  }

  fireAt(due: number) {
    if (due >= this.#due) return
    this.#clock.clearTimeout(this.#timer)
    this.#due = due
    this.#timer = this.#clock.setTimeout(
      this.#fire,
      Math.min(Math.max(1, Math.ceil(due - this.#clock.now())), MAX_TIMER_MS),
    )
  }

  clear() {
    this.#clock.clearTimeout(this.#timer)
    this.#due = Number.POSITIVE_INFINITY
  }

  #fire = () => {
    const now = this.#clock.now()
    const due = this.#due
    this.#stalled = !this.#stalled && now - this.#due > STALL_MS
    this.#due = Number.POSITIVE_INFINITY
    if (this.#stalled) this.fireAt(now)
    // the wait was longer than a timer can be
    else if (now + STALL_MS < due) this.fireAt(due)
    else this.#onDeadline()
  }
}
