import pg from 'pg'
import type { Logger } from 'pino'
import { endLostConnections } from './lost-servers.ts'

// Ids and phones stay below 2^53, so a bigint arrives as a number; a date stays the text it is.
pg.types.setTypeParser(pg.types.builtins.INT8, Number)
pg.types.setTypeParser(pg.types.builtins.DATE, (text) => text)
const bigintArray: number = 1016
const textArray: number = 1009
const parseArray = pg.types.getTypeParser(textArray)
pg.types.setTypeParser(bigintArray, (text: string) => (parseArray(text) as string[]).map(Number))

/**
 * Lets a connection notice within a quarter of a minute that its server lost power or is somewhere else now: a statement
 * that such a server had taken would else be waited for without an end. Statements may take as long as they like.
 */
export const keepAlive = { keepAlive: true, keepAliveInitialDelayMillis: 5_000 }

/** However long the lease is: a STOP that meets such a lock has to be read before its carrier loses patience. */
const mostIdleMs = 5_000

/**
 * The session settings of a process that may be frozen in the middle of a transaction (stopped, or with its machine
 * paused or cut off): it must not hold the locks that others need for longer than its lease, or five seconds.
 */
export function boundedBy(leaseMs: number): Record<string, string> {
  return { idle_in_transaction_session_timeout: String(Math.min(leaseMs, mostIdleMs)) }
}

/** Session settings as the parameter of a connection. */
export function sessionOptions(settings: Record<string, string>): string {
  return Object.entries(settings)
    .map(([key, value]) => `-c ${key}=${value}`)
    .join(' ')
}

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
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: options.max ?? 10,
    application_name: options.name ?? 'carillon',
    options: sessionOptions({ timezone: 'UTC', ...options.settings }),
    ...keepAlive,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
  })
  pool.on('error', (error) => log.warn({ err: error }, 'lost an idle database connection'))
  endLostConnections(pool, databaseUrl, log)
  return pool
}
