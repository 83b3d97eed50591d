import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { readEnv } from '../src/config/config.ts'
import type { Db } from '../src/db/db.ts'
import { systemClock } from '../src/lib/clock.ts'
import type { Runtime } from '../src/runtime.ts'
import { Metrics } from '../src/system/metrics.ts'

/** Returns a Runtime on a test's database: default settings without a rate limit, a silent log and the system clock. */
export function makeRuntime(given: { db: Db; url?: string } & Partial<Runtime>): Runtime {
  const { url, ...rest } = given
  return {
    config: readEnv({
      CARILLON_RATE_LIMIT: 'off',
      CARILLON_SECRET_KEY: 'ca'.repeat(32),
      CARILLON_FILES_DIR: join(tmpdir(), 'files'),
    }),
    log: pino({ level: 'silent' }),
    clock: systemClock,
    databaseUrl: url ?? '',
    metrics: new Metrics('test'),
    ...rest,
  }
}
