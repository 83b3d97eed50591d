import { pino } from 'pino'
import { ConfigError, readEnv } from '../config/config.ts'
import { loadEnvFileIfPresent } from '../config/environment.ts'
import { poolDb } from '../db/db.ts'
import { migrate } from '../db/migrate.ts'
import { makePool } from '../db/pool.ts'
import { OperatorError } from '../errors.ts'
import { installJobs } from '../jobs/boss.ts'
import { loggableError } from '../lib/loggable-error.ts'
import { assertMode } from './mode.ts'

// Migrates the database of DATABASE_URL and sets the mode of a new database, for installations without a supervisor.
try {
  loadEnvFileIfPresent()
  const { databaseUrl, mode } = readEnv(process.env)
  if (!databaseUrl) throw new ConfigError(['DATABASE_URL is not set (npm start migrates the embedded database)'])
  const ran = await migrate(databaseUrl.reveal())
  await installJobs(databaseUrl.reveal())
  const pool = makePool(databaseUrl.reveal(), pino({ level: 'silent' }), { max: 1, name: 'carillon migrate' })
  try {
    await assertMode(poolDb(pool), mode)
  } finally {
    await pool.end()
  }
  console.log(ran.length > 0 ? `Migrated: ${ran.join(', ')}` : 'The database is up to date.')
} catch (e) {
  console.error(e instanceof ConfigError || e instanceof OperatorError ? e.message : loggableError(e))
  process.exitCode = 1
}
