import { setImmediate as nextTurn } from 'node:timers/promises'
import type { MonotonicClock } from '../src/smpp/deadline-timer.ts'

/** Waits until in-memory streams have delivered their data. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 8; i++) await nextTurn()
}

type Timer = { due: number; run: () => void }

/**
 * A clock that moves only by `advance` and `stall`; timers fire in order, and streams settle before and after each
 * timer.
 */
export class FakeClock implements MonotonicClock {
  #now = 1_000
  readonly #timers = new Set<Timer>()

  now() {
    return this.#now
  }

  setTimeout(run: () => void, ms: number): Timer {
    const timer = { due: this.#now + ms, run }
    this.#timers.add(timer)
    return timer
  }

  clearTimeout(timer: unknown) {
    this.#timers.delete(timer as Timer)
  }

  /** Moves the clock by `ms`, firing the timers that are due. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await settle()
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.due)
      next.run()
      await settle()
    }
    this.#now = end
  }

  /** Simulates a frozen process: first the time passes, then all timers that became due fire. */
  async stall(ms: number, beforeTimers: () => void): Promise<void> {
    this.#now += ms
    for (const timer of [...this.#timers]) {
      if (timer.due > this.#now) continue
      this.#timers.delete(timer)
      timer.run()
    }
    beforeTimers()
    await this.advance(1)
  }

  #next(until: number): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers) {
      if (timer.due <= until && (!first || timer.due < first.due)) first = timer
    }
    return first
  }
}
