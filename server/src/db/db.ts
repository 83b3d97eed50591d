import type pg from 'pg'
import type { Statement } from './sql.ts'

/** The interface that query files use: named statements, and transactions that may be nested. */
export type Db = {
  /** Returns all rows of a statement. `name` is the name of the prepared statement, and its label in logs and metrics. */
  many<T>(name: string, statement: Statement, params?: unknown[]): Promise<T[]>
  /** Returns the first row, or undefined if there is none. */
  maybeOne<T>(name: string, statement: Statement, params?: unknown[]): Promise<T | undefined>
  /** Returns the first row; throws if there is none. */
  one<T>(name: string, statement: Statement, params?: unknown[]): Promise<T>
  /** Runs a statement and returns the number of rows that it changed. */
  exec(name: string, statement: Statement, params?: unknown[]): Promise<number>
  /** Runs `work` in a transaction (a savepoint inside another one): commits all of its changes, or none if it throws. */
  tx<T>(work: (tx: Db) => Promise<T>): Promise<T>
  /** Calls `work` with the database connection, for COPY; inside a transaction, with the transaction's connection. */
  withClient<T>(work: (client: pg.ClientBase) => Promise<T>): Promise<T>
}

/** Returns a Db on a pool: a statement uses any connection, a transaction reserves one. */
export function poolDb(pool: pg.Pool): Db {
  return makeDb(
    (config) => pool.query(config),
    async (work) => {
      const client = await pool.connect()
      let broken: Error | undefined
      const onError = (error: Error) => {
        broken = error
      }
      client.on('error', onError)
      const run = inTurn(client)
      try {
        await run({ text: 'begin' })
        const result = await work(clientDb(client, run))
        await run({ text: 'commit' })
        return result
      } catch (error) {
        await run({ text: 'rollback' }).catch((fault: Error) => {
          broken = fault
        })
        throw error
      } finally {
        client.off('error', onError)
        client.release(broken)
      }
    },
    async (work) => {
      const client = await pool.connect()
      let failed: Error | undefined
      try {
        return await work(client)
      } catch (error) {
        // an aborted COPY leaves the connection in an unknown state
        failed = error instanceof Error ? error : new Error(String(error))
        throw error
      } finally {
        client.release(failed)
      }
    },
  )
}

let savepoints = 0

type Run = (config: pg.QueryConfig) => Promise<pg.QueryResult>

/** Returns a Db on a connection that is already in a transaction. */
export function clientDb(client: pg.ClientBase, run: Run = inTurn(client)): Db {
  return makeDb(
    run,
    async (work) => {
      const savepoint = `s${++savepoints}`
      await run({ text: `savepoint ${savepoint}` })
      try {
        const result = await work(clientDb(client, run))
        await run({ text: `release savepoint ${savepoint}` })
        return result
      } catch (error) {
        await run({ text: `rollback to savepoint ${savepoint}` })
        throw error
      }
    },
    (work) => work(client),
  )
}

/** Runs the statements of a connection one after the other: callers may start several, of which pg accepts only one. */
function inTurn(client: pg.ClientBase): Run {
  let last: Promise<unknown> | undefined
  return (config) => {
    const start = () => client.query(config)
    const result = last ? last.then(start, start) : start()
    last = result
    const clear = () => {
      if (last === result) last = undefined
    }
    result.then(clear, clear)
    return result
  }
}

let observe: ((name: string, text: string) => void) | undefined

/** Calls `observer` before each statement; tests use it to check that the statements of a name are equal. */
export function setStatementObserver(observer: typeof observe): void {
  observe = observer
}

function makeDb(run: Run, tx: Db['tx'], withClient: Db['withClient']): Db {
  const query = async (name: string, statement: Statement, params: unknown[] = []) => {
    const { text, values } =
      typeof statement === 'string' ? { text: statement, values: params } : statement.toStatement()
    observe?.(name, text)
    // the name is also a comment, so that pg_stat_activity and the server's log show it
    return run({ name, text: `/* ${name} */ ${text}`, values })
  }
  return {
    async many<T>(name: string, statement: Statement, params?: unknown[]) {
      return (await query(name, statement, params)).rows as T[]
    },
    async maybeOne<T>(name: string, statement: Statement, params?: unknown[]) {
      return (await query(name, statement, params)).rows[0] as T | undefined
    },
    async one<T>(name: string, statement: Statement, params?: unknown[]) {
      const row = (await query(name, statement, params)).rows[0]
      if (row === undefined) throw new Error(`${name} found no row`)
      return row as T
    },
    async exec(name, statement, params) {
      return (await query(name, statement, params)).rowCount ?? 0
    },
    tx,
    withClient,
  }
}
