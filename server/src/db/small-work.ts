import type { Db } from './db.ts'

/** Recent time of an account below which its work is small, like a request: an import of 1,000 people takes 0.06 s on idle cores. */
const smallMs = 250
/** Time in which a recent time decays to a third. */
const decayMs = 3_000
/** Number of accounts from which those without recent time are forgotten. */
const manyAccounts = 1_000

/** The time that an account has recently used, as of `at`. */
type Use = { ms: number; at: number }

/**
 * Runs small work of an account without the low priority of a worker's other statements: the first quarter of a second within some
 * seconds. So an account with an import of a hundred people does not wait for the cores behind the imports, tags and
 * reports that another one has queued.
 */
export class SmallWork {
  readonly #db: Db
  readonly #places: number
  readonly #now: () => number
  readonly #uses = new Map<number, Use>()
  #taken = 0

  /** `db` has the usual priority, and connections for `places` transactions; `now` returns milliseconds. */
  constructor(db: Db, places: number, now = () => performance.now()) {
    this.#db = db
    this.#places = places
    this.#now = now
  }

  /** Calls `work` with the Db of small work if the work of the account is small and a place is free, otherwise with `lowDb`. */
  async run<T>(accountId: number, lowDb: Db, work: (db: Db) => Promise<T>): Promise<T> {
    const startedAt = this.#now()
    const isSmall = this.#taken < this.#places && this.#useOf(accountId, startedAt) < smallMs
    if (isSmall) this.#taken++
    try {
      return await work(isSmall ? this.#db : lowDb)
    } finally {
      if (isSmall) this.#taken--
      const at = this.#now()
      this.#uses.set(accountId, { ms: this.#useOf(accountId, at) + at - startedAt, at })
      if (this.#uses.size > manyAccounts) this.#forgetUnused(at)
    }
  }

  #useOf(accountId: number, now: number): number {
    const use = this.#uses.get(accountId)
    return use ? use.ms * Math.exp((use.at - now) / decayMs) : 0
  }

  #forgetUnused(now: number): void {
    for (const id of this.#uses.keys()) if (this.#useOf(id, now) < 1) this.#uses.delete(id)
  }
}
