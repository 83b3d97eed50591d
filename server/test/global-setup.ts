import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { migrate } from '../src/db/migrate.ts'
import { installJobs } from '../src/jobs/boss.ts'
import { startPostgres } from '../src/supervisor/embedded-postgres.ts'
import { removeCluster } from '../src/supervisor/postgres-files.ts'
import { WatchdogLink } from '../src/supervisor/watchdog-link.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** URL of the throwaway cluster's maintenance database. The cluster's `template_carillon` is migrated, for cloning. */
    clusterUrl: string
    /** The same as superuser, for creating and dropping databases; the tests themselves have the rights of the product. */
    superuserUrl: string
  }
}

/** Starts a throwaway PostgreSQL with a migrated template database, and removes both at the end. */
export default async function setup(project: TestProject) {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-test-'))
  // the watchdog ends PostgreSQL when the tests are killed or this setup fails
  const watchdog = new WatchdogLink(() => {})
  watchdog.start()
  const postgres = await startPostgres({
    dataDir: folder,
    onNamed: (clusterName) => watchdog.setKillList({ roles: [], clusterName }),
    settings: {
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      max_connections: '200',
      scram_iterations: '1',
    },
  })
  const admin = new pg.Client({ connectionString: postgres.superuserUrl })
  await admin.connect()
  await assertSameClock(admin)
  await admin.query('create database template_carillon owner carillon_owner')
  // for a test that measures the memory of a backend
  await admin.query('grant pg_read_all_stats to carillon_owner')
  await migrate(databaseUrl(postgres.url, 'template_carillon'))
  await installJobs(databaseUrl(postgres.url, 'template_carillon'))
  await admin.end()
  project.provide('clusterUrl', postgres.url)
  project.provide('superuserUrl', postgres.superuserUrl)
  return async () => {
    await postgres.stop('immediate')
    await watchdog.release()
    removeCluster(folder)
  }
}

/** Throws if the database's clock differs from the tests' clock; `npm run test:dates` must shift both. */
async function assertSameClock(admin: pg.Client): Promise<void> {
  const { rows } = await admin.query<{ now: Date }>('select clock_timestamp() as now')
  const differenceMs = Math.abs((rows[0]?.now.getTime() ?? Number.NaN) - Date.now())
  if (!(differenceMs < 60_000))
    throw new Error(`the clocks of PostgreSQL and of the tests differ by ${differenceMs} ms`)
}

/** Returns the URL of another database in the same cluster. */
export function databaseUrl(clusterUrl: string, database: string): string {
  const url = new URL(clusterUrl)
  url.pathname = `/${database}`
  return url.href
}
