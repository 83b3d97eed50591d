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
 * Lets a connection detect within 15 seconds that its server lost power or was moved. Without it, a statement that such a
 * server had received would never return. Statements themselves have no deadline.
 */
export const keepAlive = { keepAlive: true, keepAliveInitialDelayMillis: 5_000 }

/** Upper limit whatever the lease is: a STOP that waits for such a lock has to be read before its carrier's timeout. */
const mostIdleMs = 5_000

/**
 * Returns session settings for a process that may freeze in the middle of a transaction (stopped, or its machine paused or
 * cut off): PostgreSQL ends the session, and releases its locks, after the lease or five seconds.
 */
export function boundedBy(leaseMs: number): Record<string, string> {
  return { idle_in_transaction_session_timeout: String(Math.min(leaseMs, mostIdleMs)) }
}

/** Returns session settings as the `options` parameter of a connection. */
export function sessionOptions(settings: Record<string, string>): string {
  return Object.entries(settings)
    .map(([key, value]) => `-c ${key}=${value}`)
    .join(' ')
}

/**
 * Lifetime of a connection. Some thirty statements carry the day of their partition in their name, and a connection keeps
 * every statement it has prepared with its plans: without a limit one grew from 8 MB to 141 MB over 60 simulated days. A
 * new connection every half hour holds those of the few days that were used meanwhile; its price is one fork of PostgreSQL
 * and the preparation of the statements in use, some milliseconds. `deallocate` would save that, but node-postgres cannot
 * forget a name that it has prepared. A connection in use is replaced when it is released. The pool of pg-boss and the
 * listener need no limit: their statements have no names.
 */
export const connectionLifetimeSeconds = 1_800

export type PoolOptions = {
  /** Most connections; 10. */
  max?: number
  /** Lifetime of a connection; `connectionLifetimeSeconds`. */
  lifetimeSeconds?: number
  /** Session settings, such as `{ enable_seqscan: 'off' }`. */
  settings?: Record<string, string>
  /** Shown in pg_stat_activity. */
  name?: string
}

/** Returns a pool that survives a restart of PostgreSQL: it logs and replaces lost idle connections. */
export function makePool(databaseUrl: string, log: Logger, options: PoolOptions = {}): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: options.max ?? 10,
    application_name: options.name ?? 'carillon',
    options: sessionOptions({ timezone: 'UTC', ...options.settings }),
    ...keepAlive,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    maxLifetimeSeconds: options.lifetimeSeconds ?? connectionLifetimeSeconds,
  })
  pool.on('error', (error) => log.warn({ err: error }, 'lost an idle database connection'))
  endLostConnections(pool, databaseUrl, log)
  return pool
}
