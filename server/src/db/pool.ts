import pg from 'pg'
import type { Logger } from 'pino'

// Ids and phones stay below 2^53, so a bigint arrives as a number; a date stays the text it is.
pg.types.setTypeParser(pg.types.builtins.INT8, Number)
pg.types.setTypeParser(pg.types.builtins.DATE, (text) => text)
const bigintArray: number = 1016
const textArray: number = 1009
const parseArray = pg.types.getTypeParser(textArray)
pg.types.setTypeParser(bigintArray, (text: string) => (parseArray(text) as string[]).map(Number))

export type PoolOptions = {
  /** Connections at most. */
  max?: number
  /** Session settings, such as `{ enable_seqscan: 'off' }`. */
  settings?: Record<string, string>
  /** Shown in pg_stat_activity. */
  name?: string
}

/** A pool that outlives a restart of PostgreSQL: a lost idle connection is logged and replaced. */
export function makePool(databaseUrl: string, log: Logger, options: PoolOptions = {}): pg.Pool {
  const settings = Object.entries({ timezone: 'UTC', ...options.settings })
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: options.max ?? 10,
    application_name: options.name ?? 'carillon',
    options: settings.map(([key, value]) => `-c ${key}=${value}`).join(' '),
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
  })
  pool.on('error', (error) => log.warn({ err: error }, 'lost an idle database connection'))
  return pool
}
