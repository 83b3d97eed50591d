import { AsyncLocalStorage } from 'node:async_hooks'
import type { Db } from './db.ts'
import { type Statement, textOf } from './sql.ts'

// A request with an Idempotency-Key needs one commit for all of its changes. Its code opens transactions as usual; they become
// savepoints of the request's transaction.

/** One transaction for a whole request: it starts with the first write, and ends with `commit` or `rollback`. */
export class RequestTransaction {
  readonly db: Db
  readonly #base: Db
  #tx: Promise<Db> | undefined
  #ended: Promise<void> = Promise.resolve()
  readonly #end = Promise.withResolvers<(tx: Db) => Promise<void>>()
  #hasEnded = false

  constructor(base: Db) {
    this.#base = base
    this.#end.promise.catch(() => {}) // the transaction, if any, handles the rejection
    this.db = dbOf((statement) => {
      // reads before the first write need no transaction, and without one a waiting request reserves no connection
      return this.#hasEnded || (this.#tx === undefined && isRead(statement)) ? this.#base : this.#open()
    })
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Runs `last` and commits; rolls back and throws if either fails. */
  async commit(last: (tx: Db) => Promise<void>): Promise<void> {
    this.#hasEnded = true
    if (this.#tx === undefined) return this.#base.tx(last)
    this.#end.resolve(last)
    await this.#ended
  }

  /** Ends the transaction and discards its changes. */
  async rollback(): Promise<void> {
    this.#hasEnded = true
    if (this.#tx === undefined) return
    this.#end.reject(new Error('the request was rejected'))
    await this.#ended.catch(() => {})
  }

  #open(): Promise<Db> {
    this.#tx ??= new Promise((resolve, reject) => {
      this.#ended = this.#base.tx(async (tx) => {
        resolve(tx)
        const last = await this.#end.promise
        await last(tx)
      })
      this.#ended.catch(reject)
    })
    return this.#tx
  }
}

function isRead(statement: Statement | undefined): boolean {
  return statement !== undefined && /^\s*select\b/i.test(textOf(statement))
}

export type RequestScope = {
  /** Uses the transaction of the current request; outside of a transaction, `base`. */
  db: Db
  /** The database of the current request, outside its transaction. */
  base(): Db
  /** Calls `work` for a request whose statements use `base`, also those that start after `work`. */
  runOn(base: Db, work: () => void): void
  /** Calls `work`; its statements belong to the transaction until the transaction ends, even if they start after `work`. */
  run(transaction: RequestTransaction, work: () => void): void
}

/** Returns a scope with a Db for all requests, which uses the transaction of the request that calls it, or else `usual`. */
export function requestScope(usual: Db): RequestScope {
  const current = new AsyncLocalStorage<{ base: Db; transaction?: RequestTransaction }>()
  const base = () => current.getStore()?.base ?? usual
  return {
    db: dbOf(() => {
      const transaction = current.getStore()?.transaction
      return transaction === undefined || transaction.hasEnded ? base() : transaction.db
    }),
    base,
    runOn: (base, work) => current.run({ base }, work),
    run: (transaction, work) => current.run({ base: base(), transaction }, work),
  }
}

/** Returns a Db that delegates each call to the Db that `choose` returns for the statement. */
function dbOf(choose: (statement?: Statement) => Db | Promise<Db>): Db {
  return {
    many: async (name, statement, params) => (await choose(statement)).many(name, statement, params),
    maybeOne: async (name, statement, params) => (await choose(statement)).maybeOne(name, statement, params),
    one: async (name, statement, params) => (await choose(statement)).one(name, statement, params),
    exec: async (name, statement, params) => (await choose(statement)).exec(name, statement, params),
    tx: async (work) => (await choose()).tx(work),
    withClient: async (work) => (await choose()).withClient(work),
  }
}
