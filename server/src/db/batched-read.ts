import { AsyncLocalStorage } from 'node:async_hooks'
import { isDatabaseUnavailable } from './pg-errors.ts'

/** Reads one result per key, in the order of the keys. */
export type ReadMany<K, R> = (keys: K[]) => Promise<R[]>

type Waiting<K, R> = { key: K; resolve(result: R): void; reject(error: unknown): void }

/**
 * Reads for many callers with few statements, because the round trip is most of the CPU cost of a small read, in this
 * process and in PostgreSQL. Keys that are requested in one turn of the event loop, or while `maxRunning` statements run,
 * share the next statement. It is not a cache: a statement starts after the requests for its keys, so no caller gets an
 * older row than a separate statement would return. The statements belong to no caller's request transaction.
 */
export class BatchedRead<K, R> {
  readonly #readMany: ReadMany<K, R>
  readonly #maxRunning: number
  readonly #maxKeys: number
  // of the place where this object was made
  readonly #outside = AsyncLocalStorage.snapshot()
  #waiting: Waiting<K, R>[] = []
  #running = 0
  #isScheduled = false

  constructor(readMany: ReadMany<K, R>, { maxRunning = 1, maxKeys = 100 } = {}) {
    this.#readMany = readMany
    this.#maxRunning = maxRunning
    this.#maxKeys = maxKeys
  }

  /** Returns the result for this key; throws the error that a statement with only this key throws. */
  read(key: K): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, resolve, reject })
      this.#schedule()
    })
  }

  /** Starts a statement at the end of this turn, so that all requests of the turn share it. */
  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0 || this.#running >= this.#maxRunning) return
    this.#isScheduled = true
    this.#outside(setImmediate, () => {
      this.#isScheduled = false
      const batch = this.#waiting.splice(0, this.#maxKeys)
      this.#running++
      void this.#settle(batch).finally(() => {
        this.#running--
        this.#schedule()
      })
      this.#schedule()
    })
  }

  async #settle(batch: Waiting<K, R>[]): Promise<void> {
    try {
      const results = await this.#readMany(batch.map(({ key }) => key))
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as R)
    } catch (error) {
      if (batch.length === 1 || isDatabaseUnavailable(error)) {
        for (const { reject } of batch) reject(error)
        return
      }
      // a key that PostgreSQL rejects (such as a string with a NUL) must not fail the others
      for (const waiting of batch) await this.#settle([waiting])
    }
  }
}
