import pg from 'pg'
import { pino } from 'pino'
import type { Config } from '../config/config.ts'
import { Secret } from '../config/secret.ts'
import { poolDb } from '../db/db.ts'
import { listMigrations, migrate } from '../db/migrate.ts'
import { makePool } from '../db/pool.ts'
import { assertRestored } from '../db/unfinished-restore.ts'
import { OperatorError } from '../errors.ts'
import { installJobs } from '../jobs/boss.ts'
import { borrowDatabase } from '../supervisor/borrowed-database.ts'
import { inspectDataDir } from '../supervisor/data-dir.ts'
import { ensureSecretKey, findSecretKey } from '../supervisor/secret-key.ts'
import { ensureMode, findMode, type Mode } from '../system/installation.queries.ts'
import type { CliCommand, CommandContext } from './command.ts'

export type OpenedInstallation = {
  context: Pick<CommandContext, 'db' | 'databaseUrl' | 'mode' | 'changeMode'>
  close(): Promise<void>
}

type FoundDatabase = {
  url: string
  mode: Mode
  /** Whether this command may migrate the database, because no instance runs on it. */
  mayMigrate: boolean
  changeMode(mode: Mode): Promise<void>
  close(): Promise<void>
}

/** Opens the database of a command in the state that the command requires; throws OperatorError if that is not possible. */
export async function openInstallation(
  config: Pick<Config, 'mode' | 'dataDir' | 'databaseUrl' | 'logFileBytes'>,
  requires: NonNullable<CliCommand['requires']>,
): Promise<OpenedInstallation> {
  const found = config.databaseUrl
    ? externalDatabase(config, config.databaseUrl.reveal())
    : await openEmbedded(config, requires)
  const pool = makePool(found.url, pino({ level: 'silent' }), { max: 4, name: 'carillon command' })
  const close = async () => {
    await pool.end()
    await found.close()
  }
  try {
    const db = poolDb(pool)
    const mode = requires === 'empty' ? found.mode : await migrateOrCheck(found, db)
    return { context: { db, databaseUrl: found.url, mode, changeMode: found.changeMode }, close }
  } catch (error) {
    await close()
    throw error
  }
}

function externalDatabase({ mode }: Pick<Config, 'mode'>, url: string): FoundDatabase {
  // without a data directory, only the database records the mode
  return { url, mode, mayMigrate: false, changeMode: async () => {}, close: async () => {} }
}

async function openEmbedded(
  { dataDir, mode, logFileBytes }: Pick<Config, 'dataDir' | 'mode' | 'logFileBytes'>,
  requires: NonNullable<CliCommand['requires']>,
): Promise<FoundDatabase> {
  const borrowed = await borrowDatabase({
    dataDir,
    mode,
    logFileBytes,
    make: requires === 'new' || requires === 'empty',
    alone: requires === 'alone' || requires === 'empty',
  })
  return {
    url: borrowed.url,
    mode: borrowed.mode as Mode,
    mayMigrate: !borrowed.isRunning,
    changeMode: async (next) => borrowed.changeMode(next),
    close: borrowed.close,
  }
}

/** Returns the key in the data directory, and creates a missing one; undefined if this is not a data directory of Carillon. */
export function secretKeyOf({ dataDir }: Pick<Config, 'dataDir'>): Secret | undefined {
  return inspectDataDir(dataDir) ? new Secret(ensureSecretKey(dataDir)) : undefined
}

/** Returns the key in the data directory; undefined if it has none. */
export function findSecretKeyOf({ dataDir }: Pick<Config, 'dataDir'>): Secret | undefined {
  const key = findSecretKey(dataDir)
  return key === undefined ? undefined : new Secret(key)
}

/** Migrates the database if permitted, otherwise throws if it is not up to date; returns its mode. */
async function migrateOrCheck({ url, mode, mayMigrate }: FoundDatabase, db: CommandContext['db']): Promise<Mode> {
  if (mayMigrate) {
    await migrate(url)
    await installJobs(url)
    return ensureMode(db, mode)
  }
  const missing = await missingMigrations(url)
  if (missing.length > 0) {
    throw new OperatorError(
      `The database is not up to date (${missing[0]} is missing). Run npm start or node server/src/bin/migrate.ts first.`,
    )
  }
  return (await findMode(db)) ?? ensureMode(db, mode)
}

async function missingMigrations(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'carillon command' })
  await client.connect()
  try {
    const { rows } = await client.query(`select to_regclass('schema_migrations') is not null as known`)
    const done = rows[0].known ? (await client.query('select name from schema_migrations')).rows : []
    if (rows[0].known) await assertRestored(client)
    const names = new Set(done.map(({ name }) => name))
    return (await listMigrations()).map(({ name }) => name).filter((name) => !names.has(name))
  } finally {
    await client.end()
  }
}
