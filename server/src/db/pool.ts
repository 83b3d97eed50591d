import pg from 'pg'
import type { Logger } from 'pino'
import { endLostConnections } from './lost-servers.ts'
import { lowerPriority } from './low-priority.ts'

// Ids and phone numbers are below 2^53, so a bigint is parsed to a number; a date is returned as a string.
pg.types.setTypeParser(pg.types.builtins.INT8, Number)
pg.types.setTypeParser(pg.types.builtins.DATE, (text) => text)
const bigintArray: number = 1016
const textArray: number = 1009
const parseArray = pg.types.getTypeParser(textArray)
pg.types.setTypeParser(bigintArray, (text: string) => (parseArray(text) as string[]).map(Number))

/**
 * Makes a connection detect within 15 seconds that its server lost power or was moved. Otherwise a statement that the
 * server had received would never return, because statements have no deadline.
 */
export const keepAlive = { keepAlive: true, keepAliveInitialDelayMillis: 5_000 }

/** Upper limit for any lease: a STOP that waits for the session's locks must be stored before the carrier's timeout. */
const maxIdleMs = 5_000

/**
 * Returns session settings for a process that may freeze during a transaction (because it was stopped, or its machine was
 * paused or disconnected): PostgreSQL ends an idle session, and releases its locks, after the lease or five seconds,
 * whichever is shorter.
 */
export function idleTransactionTimeout(leaseMs: number): Record<string, string> {
  return { idle_in_transaction_session_timeout: String(Math.min(leaseMs, maxIdleMs)) }
}

/** Returns session settings as the `options` parameter of a connection. */
export function sessionOptions(settings: Record<string, string>): string {
  return Object.entries(settings)
    .map(([key, value]) => `-c ${key}=${value}`)
    .join(' ')
}

/**
 * Lifetime of a connection, in seconds. About thirty statements have the day of their partition in their names, and a
 * connection stores every prepared statement with its plans: without a limit, one grew from 8 MB to 141 MB over 60
 * simulated days. A new connection every half hour costs one fork of PostgreSQL and preparing the statements, some
 * milliseconds. (`deallocate` is not an alternative, because node-postgres remembers the names that it has prepared.) A
 * connection in use is replaced when it is released. The pool of pg-boss and the listener need no limit, because their
 * statements have no names.
 */
export const connectionLifetimeSeconds = 1_800

export type PoolOptions = {
  /** Maximum number of connections; default 10. */
  max?: number
  /** Lifetime of a connection; default `connectionLifetimeSeconds`. */
  lifetimeSeconds?: number
  /** Session settings, such as `{ enable_seqscan: 'off' }`. */
  settings?: Record<string, string>
  /** Whether statements of other pools come first, where that is possible. */
  isBackground?: boolean
  /** The application name in pg_stat_activity. */
  name?: string
}

/** Returns a pool that logs and replaces lost connections, so that it can be used after a restart of PostgreSQL. */
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
  if (options.isBackground) lowerPriority(pool)
  return pool
}
