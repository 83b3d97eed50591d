import type pg from 'pg'

/** What a query file needs of the database: named statements, and a transaction that nests. */
export type Db = {
  /** All rows of a statement. `name` labels it in logs and metrics and is its prepared statement's name. */
  many<T>(name: string, sql: string, params?: unknown[]): Promise<T[]>
  /** The one row, or undefined when there is none. */
  maybeOne<T>(name: string, sql: string, params?: unknown[]): Promise<T | undefined>
  /** The one row; throws when there is none, because the caller knows there must be one. */
  one<T>(name: string, sql: string, params?: unknown[]): Promise<T>
  /** Runs a statement and says how many rows it touched. */
  exec(name: string, sql: string, params?: unknown[]): Promise<number>
  /** Runs `work` in a transaction (a savepoint inside another one): commits what it did, or nothing. */
  tx<T>(work: (tx: Db) => Promise<T>): Promise<T>
  /** Lends the connection itself, for COPY. Inside a transaction it is the transaction's. */
  withClient<T>(work: (client: pg.ClientBase) => Promise<T>): Promise<T>
}

/** A Db on a pool: each statement takes a connection for itself, each transaction keeps one. */
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
        // a COPY that broke off leaves the connection in an unknown state
        failed = error instanceof Error ? error : new Error(String(error))
        throw error
      } finally {
        client.release(failed)
      }
    },
  )
}

let savepoints = 0

/** A Db on one connection that is inside a transaction already. */
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

function makeDb(run: Run, tx: Db['tx'], withClient: Db['withClient']): Db {
  // the name goes along as a comment, so that pg_stat_activity and the server's log say who asks
  const query = (name: string, sql: string, params: unknown[] = []) =>
    run({ name, text: `/* ${name} */ ${sql}`, values: params })
  return {
    async many<T>(name: string, sql: string, params?: unknown[]) {
      return (await query(name, sql, params)).rows as T[]
    },
    async maybeOne<T>(name: string, sql: string, params?: unknown[]) {
      return (await query(name, sql, params)).rows[0] as T | undefined
    },
    async one<T>(name: string, sql: string, params?: unknown[]) {
      const row = (await query(name, sql, params)).rows[0]
      if (row === undefined) throw new Error(`${name} found no row`)
      return row as T
    },
    async exec(name, sql, params) {
      return (await query(name, sql, params)).rowCount ?? 0
    },
    tx,
    withClient,
  }
}
