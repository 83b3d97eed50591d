import { setImmediate as nextEventLoopTurn } from 'node:timers/promises'

/** Returns monotonic time in milliseconds. */
export type Stopwatch = () => number

/** Other work of the process waits at most about this long for a loop. */
const yieldAfterMs = 10

/**
 * A limited time for loops over rows, so that a loop whose rows take long neither blocks the event loop nor leaves its
 * transaction idle.
 */
export class Turn {
  readonly #stopwatch: Stopwatch
  readonly #endsAt: number

  /** Starts a turn of `ms` milliseconds; without a limit, loops only yield. */
  constructor(ms: number = Number.POSITIVE_INFINITY, stopwatch: Stopwatch = () => performance.now()) {
    this.#stopwatch = stopwatch
    this.#endsAt = stopwatch() + ms
  }

  get isOver(): boolean {
    return this.#stopwatch() >= this.#endsAt
  }

  /**
   * Calls `work` for each item in order, until all are done or the turn is over, and returns the number of calls: at
   * least one, if there are items. Yields to the event loop every 10 ms.
   */
  async forEach<T>(items: readonly T[], work: (item: T) => void): Promise<number> {
    let yieldAt = this.#stopwatch() + yieldAfterMs
    for (const [n, item] of items.entries()) {
      work(item)
      const now = this.#stopwatch()
      if (now >= this.#endsAt) return n + 1
      if (now < yieldAt) continue
      await nextEventLoopTurn()
      yieldAt = this.#stopwatch() + yieldAfterMs
    }
    return items.length
  }
}
