import type pg from 'pg'
import type { Statement } from './sql.ts'

/** The database as query files use it: named statements, and transactions that nest. */
export type Db = {
  /** Returns all rows of a statement. `name` labels it in logs and metrics and names its prepared statement. */
  many<T>(name: string, statement: Statement, params?: unknown[]): Promise<T[]>
  /** Returns the one row, or undefined when there is none. */
  maybeOne<T>(name: string, statement: Statement, params?: unknown[]): Promise<T | undefined>
  /** Returns the one row; throws when there is none. */
  one<T>(name: string, statement: Statement, params?: unknown[]): Promise<T>
  /** Runs a statement and returns the number of rows that it changed. */
  exec(name: string, statement: Statement, params?: unknown[]): Promise<number>
  /** Runs `work` in a transaction (a savepoint inside another one): commits all of its changes, or none when it throws. */
  tx<T>(work: (tx: Db) => Promise<T>): Promise<T>
  /** Lends the connection itself, for COPY. Inside a transaction it is the transaction's. */
  withClient<T>(work: (client: pg.ClientBase) => Promise<T>): Promise<T>
}

/** Returns a Db on a pool: each statement uses any connection, each transaction one of its own. */
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
      try {
        await client.query('begin')
        const result = await work(clientDb(client))
        await client.query('commit')
        return result
      } catch (error) {
        await client.query('rollback').catch((fault: Error) => {
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

/** Returns a Db on one connection that is inside a transaction already. */
export function clientDb(client: pg.ClientBase): Db {
  return makeDb(
    (config) => client.query(config),
    async (work) => {
      const savepoint = `s${++savepoints}`
      await client.query(`savepoint ${savepoint}`)
      try {
        const result = await work(clientDb(client))
        await client.query(`release savepoint ${savepoint}`)
        return result
      } catch (error) {
        await client.query(`rollback to savepoint ${savepoint}`)
        throw error
      }
    },
    (work) => work(client),
  )
}

type Run = (config: pg.QueryConfig) => Promise<pg.QueryResult>

let observe: ((name: string, text: string) => void) | undefined

/** Calls `observer` with each statement before it runs; tests check with it that a name has one text. */
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
