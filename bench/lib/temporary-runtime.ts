import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { readEnv } from '../../server/src/config/config.ts'
import { poolDb } from '../../server/src/db/db.ts'
import { migrate } from '../../server/src/db/migrate.ts'
import { makePool } from '../../server/src/db/pool.ts'
import { installJobs } from '../../server/src/jobs/boss.ts'
import { type Clock, systemClock } from '../../server/src/lib/clock.ts'
import type { Runtime } from '../../server/src/runtime.ts'
import { startPostgres } from '../../server/src/supervisor/embedded-postgres.ts'
import { Metrics } from '../../server/src/system/metrics.ts'

/**
 * Calls `work` with a Runtime on a temporary PostgreSQL with the product's settings for durability, whose folder also has the files
 * of reports, and removes everything afterwards.
 */
export async function withTemporaryRuntime<T>(
  work: (rt: Runtime) => Promise<T>,
  { clock = systemClock }: { clock?: Clock } = {},
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-bench-'))
  const postgres = await startPostgres({ dataDir: folder })
  try {
    await migrate(postgres.url)
    await installJobs(postgres.url)
    const log = pino({ level: 'warn' })
    const pool = makePool(postgres.url, log)
    const config = { ...readEnv({ CARILLON_DATA_DIR: folder }), filesDir: join(folder, 'files') }
    const metrics = new Metrics('bench')
    try {
      return await work({ config, log, db: poolDb(pool), clock, databaseUrl: postgres.url, metrics })
    } finally {
      await pool.end()
    }
  } finally {
    await postgres.stop('immediate')
    await rm(folder, { recursive: true, force: true })
  }
}
