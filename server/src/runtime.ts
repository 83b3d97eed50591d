import type { Logger } from 'pino'
import type { Config } from './config/config.ts'
import type { Db } from './db/db.ts'
import type { Clock } from './lib/clock.ts'
import type { Metrics } from './system/metrics.ts'

/** The resources of a process, which `bin/` creates once and passes as a parameter. */
export type Runtime = {
  config: Config
  log: Logger
  db: Db
  clock: Clock
  /** URL of the database, for pools with their own session settings and for LISTEN. */
  databaseUrl: string
  /** The metrics of this process, for Prometheus. */
  metrics: Metrics
}
