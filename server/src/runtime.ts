import type { Logger } from 'pino'
import type { Config } from './config/config.ts'
import type { Db } from './db/db.ts'
import type { Clock } from './lib/clock.ts'
import type { Metrics } from './system/metrics.ts'

/** The resources of a process: built once in `bin/` and passed down as a parameter. */
export type Runtime = {
  config: Config
  log: Logger
  db: Db
  clock: Clock
  /** Connection string of the database, for pools with their own session settings and for LISTEN. */
  databaseUrl: string
  /** The metrics that this process exposes to Prometheus. */
  metrics: Metrics
}
