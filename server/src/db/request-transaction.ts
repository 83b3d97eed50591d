import { AsyncLocalStorage } from 'node:async_hooks'
import type { Db } from './db.ts'
import { type Statement, textOf } from './sql.ts'

// A request with an Idempotency-Key needs one commit for all of its changes. Its code opens transactions as usual and does
// not know that they are savepoints of a larger one.

/** One transaction for a whole request: opens at the first write, ends by `commit` or `rollback`. */
export class RequestTransaction {
  readonly db: Db
  readonly #base: Db
  #tx: Promise<Db> | undefined
  #ended: Promise<void> = Promise.resolve()
  readonly #end = Promise.withResolvers<(tx: Db) => Promise<void>>()
  #isOver = false

  constructor(base: Db) {
    this.#base = base
    this.#end.promise.catch(() => {}) // the transaction handles it, if there is one
    this.db = dbOf((statement) => {
      // reads before the first write need no transaction, and without one a waiting request holds no connection
      return this.#isOver || (this.#tx === undefined && isRead(statement)) ? this.#base : this.#open()
    })
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Runs `last` and commits; throws, and rolls everything back, when either fails. */
  async commit(last: (tx: Db) => Promise<void>): Promise<void> {
    this.#isOver = true
    if (this.#tx === undefined) return this.#base.tx(last)
    this.#end.resolve(last)
    await this.#ended
  }

  /** Ends the transaction without any change. */
  async rollback(): Promise<void> {
    this.#isOver = true
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
  /** Uses the transaction of the current request, or the database when there is none. */
  db: Db
  /** Calls `work`; its statements, late ones included, belong to the transaction until that ends. */
  run(transaction: RequestTransaction, work: () => void): void
}

/** Returns a Db that code can hold forever and that uses the transaction of the request it serves. */
export function requestScope(base: Db): RequestScope {
  const current = new AsyncLocalStorage<RequestTransaction>()
  return {
    db: dbOf(() => {
      const transaction = current.getStore()
      return transaction === undefined || transaction.isOver ? base : transaction.db
    }),
    run: (transaction, work) => current.run(transaction, work),
  }
}

/** Returns a Db that chooses another one for each call, by the statement if there is one. */
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
