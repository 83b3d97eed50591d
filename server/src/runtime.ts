import type { Logger } from 'pino'
import type { Config } from './config/config.ts'
import type { Db } from './db/db.ts'
import type { SmallWork } from './db/small-work.ts'
import type { Clock } from './lib/clock.ts'
import type { Metrics } from './system/metrics.ts'

/** The resources of a process, which `bin/` creates once and passes as a parameter. */
export type Runtime = {
  config: Config
  log: Logger
  db: Db
  /** Like `db`, but its statements come after those of others, where that is possible; in an api process. */
  lowDb?: Db
  /** Runs the small work of accounts without the low priority of `db`; in a worker. */
  smallWork?: SmallWork
  clock: Clock
  /** URL of the database, for pools with their own session settings and for LISTEN. */
  databaseUrl: string
  /** The metrics of this process, for Prometheus. */
  metrics: Metrics
}
