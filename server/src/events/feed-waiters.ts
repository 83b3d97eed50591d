import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { FairPlaces } from '../lib/fair-places.ts'
import { findLastPosition, findNewEvents, maxNewCompared } from './events.queries.ts'

const pollMs = 200

/** Maximum number of waiting requests of one account. */
export const maxWaitingPerAccount = 20

/**
 * Reads at a time, in a process and of one account. A request that waits has none of its account's places, so without this limit
 * an account could use all database connections with reads of pages of 4 MB.
 */
const maxReads = 4
const maxReadsPerAccount = 2
/** Reads of an account that wait, and for how long. */
const [maxWaitingReads, maxReadWaitMs] = [200, 10_000]

/** A request for events of these types of an account (null: all types) after a position. */
export type Awaited = { accountId: number; types: readonly string[] | null; after: number }

/** The position through which there is no event of the request, and whether there may be one after it. */
export type Waited = { through: number; hasMore: boolean }

type Waiter = Awaited & { end: (hasMore: boolean) => void }

/** Requests that wait for new events. One query at a time looks for all of them, and ends the waits that its events are for. */
export class FeedWaiters {
  readonly #db: Db
  readonly #waiters = new Set<Waiter>()
  readonly #reads = new FairPlaces({
    total: maxReads,
    perParty: maxReadsPerAccount,
    maxWaiting: maxWaitingReads,
    maxWaitMs: maxReadWaitMs,
  })
  #timer: NodeJS.Timeout | undefined

  constructor(db: Db) {
    this.#db = db
  }

  /**
   * Returns what `read` returns, which reads events of an account, when it is the account's turn. Throws a 429 if that takes too long
   * or too many reads of the account wait.
   */
  async inTurn<T>(accountId: number, signal: AbortSignal, read: () => Promise<T>): Promise<T> {
    if (!(await this.#reads.take(accountId, signal))) throw errors.tooManyAtOnce(maxReadsPerAccount)
    try {
      return await read()
    } finally {
      this.#reads.release(accountId)
    }
  }

  /**
   * Waits for an event that the request is for, up to `maxMs`. Throws a 429 if too many requests of the account wait.
   */
  wait({ accountId, types, after }: Awaited, maxMs: number, signal: AbortSignal): Promise<Waited> {
    if (signal.aborted) return Promise.resolve({ through: after, hasMore: false })
    const others = [...this.#waiters].filter((waiter) => waiter.accountId === accountId).length
    if (others >= maxWaitingPerAccount) throw errors.tooManyWaiting(maxWaitingPerAccount)
    return new Promise((resolve) => {
      const giveUp = () => waiter.end(false)
      const timeout = setTimeout(giveUp, maxMs)
      const waiter: Waiter = {
        ...{ accountId, types, after },
        end: (hasMore) => {
          clearTimeout(timeout)
          signal.removeEventListener('abort', giveUp)
          this.#waiters.delete(waiter)
          resolve({ through: waiter.after, hasMore })
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
    this.#reads.endWaits()
  }

  async #poll(): Promise<void> {
    try {
      const last = await findLastPosition(this.#db)
      const late = [...this.#waiters].filter(({ after }) => after < last)
      if (late.length > 0) await this.#endWaits(late, last)
    } catch {
      // the next read of a waiter fails with the same error, and responds with it
      for (const waiter of this.#waiters) waiter.end(true)
    }
    this.#timer = this.#waiters.size > 0 ? setTimeout(() => this.#poll(), pollMs) : undefined
  }

  /** Ends the waits of these that have an event; the others continue after `last`. */
  async #endWaits(waiters: Waiter[], last: number): Promise<void> {
    const afters = new Map<number, number>()
    for (const { accountId, after } of waiters) afters.set(accountId, Math.min(after, afters.get(accountId) ?? after))
    const found = new Map((await findNewEvents(this.#db, afters)).map((each) => [each.accountId, each]))
    for (const waiter of waiters) {
      const { compared, types } = found.get(waiter.accountId) ?? { compared: 0, types: [] }
      const isAwaited = types.some((type) => waiter.types === null || waiter.types.includes(type))
      if (isAwaited || compared === maxNewCompared) waiter.end(true)
      else waiter.after = last
    }
  }
}
