import { ConfigError, readEnv } from '../config/config.ts'
import { loadEnvFileIfPresent } from '../config/env-file.ts'
import { migrate } from '../db/migrate.ts'
import { installJobs } from '../jobs/boss.ts'

// Migrates the database of DATABASE_URL: for installations that start their roles by themselves.
try {
  loadEnvFileIfPresent()
  const { databaseUrl } = readEnv(process.env)
  if (!databaseUrl) throw new ConfigError(['DATABASE_URL is needed: npm start migrates the embedded database itself'])
  const ran = await migrate(databaseUrl.reveal())
  await installJobs(databaseUrl.reveal())
  console.log(ran.length > 0 ? `Migrated: ${ran.join(', ')}` : 'The database is up to date.')
} catch (e) {
  console.error(e instanceof ConfigError ? e.message : e)
  process.exitCode = 1
}
