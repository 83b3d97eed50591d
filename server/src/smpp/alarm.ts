import type { Clock } from './clock.ts'

/** A ring so much too late means that we stood still, not the peer. */
const STALL_MS = 100

/**
 * One timer that rings at the earliest time asked for. After a stop of the whole process (SIGSTOP, a long collection) it
 * rings one turn of the event loop later, so that answers which lie unread in the socket are read before anybody is
 * judged to be late.
 */
export class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #timer: unknown
  #due = Number.POSITIVE_INFINITY
  #stalled = false

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  setFor(due: number) {
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
    if (this.#stalled) this.setFor(now)
    else this.#ring()
  }
}
