import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { seedSandbox } from '../accounts/sandbox.ts'
import type { Config } from '../config/config.ts'
import { releaseEnvironment } from '../connections/environment.ts'
import { type Db, poolDb } from '../db/db.ts'
import { migrate } from '../db/migrate.ts'
import { makePool } from '../db/pool.ts'
import { installJobs } from '../jobs/boss.ts'
import { systemClock } from '../lib/clock.ts'
import type { SandboxAccount } from '../supervisor/banner.ts'
import { writeFileAtomically } from '../supervisor/data-dir.ts'
import type { Preparation } from '../supervisor/supervisor.ts'
import { listLiveRoles } from '../system/heartbeats.queries.ts'
import { assertMode } from './mode.ts'
import { warnOfPrivileges } from './privileges.ts'

/** Migrates the database; in sandbox mode, also creates or updates the account that the banner shows, and returns it. */
export async function prepareDatabase({ config, databaseUrl, dataDir, log }: Preparation) {
  const ran = await migrate(databaseUrl)
  await installJobs(databaseUrl)
  if (ran.length > 0) log.info({ migrations: ran }, 'database migrated')
  const pool = makePool(databaseUrl, log, { max: 1, name: 'carillon start' })
  try {
    const db = poolDb(pool)
    await assertMode(db, config.mode)
    await warnOfPrivileges(db, log)
    if (
      config.mode === 'production' &&
      !config.smpp &&
      (await noGatewayRuns(db, config)) &&
      (await releaseEnvironment({ db, clock: systemClock }))
    ) {
      log.warn('CARILLON_SMPP_URL is no longer set, connection "default" disabled')
    }
    return config.mode === 'sandbox' ? await seed(db, config, join(dataDir, 'sandbox.json')) : undefined
  } finally {
    await pool.end()
  }
}

/** Returns whether no gateway runs: a gateway on another machine may have the setting that is missing on this one. */
async function noGatewayRuns(db: Db, config: Config): Promise<boolean> {
  return config.databaseUrl === undefined || !(await listLiveRoles(db)).some(({ role }) => role === 'gateway')
}

/** Seeds the sandbox and writes the account with its key to sandbox.json, because the database stores only the key's hash. */
async function seed(db: Db, config: Config, file: string): Promise<SandboxAccount> {
  const stored = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Partial<SandboxAccount>) : {}
  const { email } = config.sandbox
  const apiKey = config.sandbox.apiKey?.reveal() ?? stored.apiKey
  const seeded = await seedSandbox(db, { email, apiKey }, systemClock.now())
  const account = { ...seeded, apiKey: seeded.apiKey ?? apiKey }
  writeFileAtomically(file, `${JSON.stringify(account, null, 2)}\n`)
  return account
}
