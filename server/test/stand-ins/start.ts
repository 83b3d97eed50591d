import pg from 'pg'
import { ConfigError, readEnv } from '../../src/config/config.ts'
import { createListOfMigrations } from '../../src/db/unfinished-restore.ts'
import { OperatorError } from '../../src/errors.ts'
import { type RoleName, supervise } from '../../src/supervisor/supervisor.ts'

// bin/start.ts with stand-ins for the roles; CARILLON_TEST_GATEWAY and CARILLON_TEST_SIMULATOR name others.
const scripts: Record<RoleName, string> = {
  api: 'api.ts',
  worker: 'idle.ts',
  gateway: process.env.CARILLON_TEST_GATEWAY ?? 'idle.ts',
  simulator: process.env.CARILLON_TEST_SIMULATOR ?? 'simulator.ts',
}

try {
  await supervise({
    config: readEnv(process.env),
    env: process.env,
    print: (line) => console.log(line),
    prepare: async ({ databaseUrl, config }) => {
      await insertMode(databaseUrl, config.mode)
      return { email: 'sandbox@example.org', apiKey: 'a-key-for-the-tests', listId: 7, shortCode: '88222' }
    },
    scriptOf: (role) => `${import.meta.dirname}/${scripts[role]}`,
  })
  process.exit(0)
} catch (e) {
  console.error(e instanceof ConfigError || e instanceof OperatorError ? e.message : e)
  process.exit(1)
}

/** Inserts the mode, and creates the list of migrations: the roles check both at start. */
async function insertMode(databaseUrl: string, mode: string) {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    await client.query(createListOfMigrations)
    await client.query('create table if not exists installation (mode text)')
    await client.query('insert into installation (mode) select $1 where not exists (select from installation)', [mode])
  } finally {
    await client.end()
  }
}
