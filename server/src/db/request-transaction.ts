import { AsyncLocalStorage } from 'node:async_hooks'
import type { Db } from './db.ts'
import { type Statement, textOf } from './sql.ts'

// A request that must happen once needs one commit for all that it does. Its code asks for transactions as it always
// does, and does not know that they are parts of a larger one.

/** One transaction that the code of a request fills: it opens with the first write and ends when it is told to. */
export class RequestTransaction {
  readonly db: Db
  readonly #base: Db
  #tx: Promise<Db> | undefined
  #ended: Promise<void> = Promise.resolve()
  readonly #end = Promise.withResolvers<(tx: Db) => Promise<void>>()
  #isOver = false

  constructor(base: Db) {
    this.#base = base
    this.#end.promise.catch(() => {}) // heard of by the transaction, if there is one
    this.db = dbOf((statement) => {
      // reads before the first write are as good outside, and a request that waits its turn holds no connection so
      return this.#isOver || (this.#tx === undefined && isRead(statement)) ? this.#base : this.#open()
    })
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Ends it with a last piece of work; throws, and leaves nothing of it, when that or the commit fails. */
  async commit(last: (tx: Db) => Promise<void>): Promise<void> {
    this.#isOver = true
    if (this.#tx === undefined) return this.#base.tx(last)
    this.#end.resolve(last)
    await this.#ended
  }

  /** Ends it without a trace. */
  async rollback(): Promise<void> {
    this.#isOver = true
    if (this.#tx === undefined) return
    this.#end.reject(new Error('the request was refused'))
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
  /** Goes to the transaction of the request that the caller works for, or else straight to the database. */
  db: Db
  /** Calls `work`, all of whose statements, late ones included, are the transaction's until it is over. */
  run(transaction: RequestTransaction, work: () => void): void
}

/** Lets code that was given one Db for good work in the transaction of the request it serves. */
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

/** A Db that asks for each call which one is meant; told the statement, where there is one. */
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
