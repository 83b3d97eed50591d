import type { Db } from '../db/db.ts'
import { findLastPosition } from './events.queries.ts'

const pollMs = 200

/** Maximum number of waiting requests of one account; another one is not made to wait. */
const maxPerAccount = 20

type Waiter = { accountId: number; after: number; end: (hasMore: boolean) => void }

/** Requests that wait for new events. One query at a time looks for all of them, however many there are. */
export class FeedWaiters {
  readonly #db: Db
  readonly #waiters = new Set<Waiter>()
  #timer: NodeJS.Timeout | undefined

  constructor(db: Db) {
    this.#db = db
  }

  /** Waits until an event has a position after `after`, and returns true; returns false when the time is over. */
  wait(accountId: number, after: number, maxMs: number, signal: AbortSignal): Promise<boolean> {
    const others = [...this.#waiters].filter((waiter) => waiter.accountId === accountId).length
    if (others >= maxPerAccount || signal.aborted) return Promise.resolve(false)
    return new Promise((resolve) => {
      const giveUp = () => waiter.end(false)
      const timeout = setTimeout(giveUp, maxMs)
      const waiter: Waiter = {
        accountId,
        after,
        end: (hasMore) => {
          clearTimeout(timeout)
          signal.removeEventListener('abort', giveUp)
          this.#waiters.delete(waiter)
          resolve(hasMore)
        },
      }
      signal.addEventListener('abort', giveUp, { once: true })
      this.#waiters.add(waiter)
      this.#timer ??= setTimeout(() => this.#poll(), pollMs)
    })
  }

  /** Ends all waits. */
  stop(): void {
    clearTimeout(this.#timer)
    for (const waiter of this.#waiters) waiter.end(false)
  }

  async #poll(): Promise<void> {
    try {
      const last = await findLastPosition(this.#db)
      for (const waiter of this.#waiters) if (last > waiter.after) waiter.end(true)
    } catch {
      // the next read of a waiter fails with the same error, and responds with it
      for (const waiter of this.#waiters) waiter.end(true)
    }
    this.#timer = this.#waiters.size > 0 ? setTimeout(() => this.#poll(), pollMs) : undefined
  }
}
