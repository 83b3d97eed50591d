import type { Logger } from 'pino'
import type { Config } from './config/config.ts'
import type { Db } from './db/db.ts'
import type { Clock } from './lib/clock.ts'
import type { Metrics } from './system/metrics.ts'

/** What a process is given to work with: built once in `bin/`, handed down, never looked up. */
export type Runtime = {
  config: Config
  log: Logger
  db: Db
  clock: Clock
  /** The database's address, for a pool with session settings of its own and for LISTEN. */
  databaseUrl: string
  /** What this process tells Prometheus of itself. */
  metrics: Metrics
}
