import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, inject } from 'vitest'
import { clientDb, type Db, poolDb } from '../src/db/db.ts'
import { makePool } from '../src/db/pool.ts'

const silent = pino({ level: 'silent' })

function urlOf(database: string): string {
  const url = new URL(inject('clusterUrl'))
  url.pathname = `/${database}`
  return url.href
}

/**
 * Strategy of clones. The default writes each page to the WAL, which takes about ten times as long; the checkpoints that it
 * avoids cost nothing in a cluster without fsync.
 */
const copyByFile = 'strategy file_copy'

async function clone(database: string, template = 'template_carillon'): Promise<string> {
  const admin = new pg.Client({ connectionString: inject('superuserUrl') })
  await admin.connect()
  try {
    // cloning locks the template; another worker may be cloning
    await admin.query('select pg_advisory_lock(1)')
    const existing = await admin.query('select from pg_database where datname = $1', [database])
    if (existing.rowCount === 0)
      await admin.query(`create database ${database} owner carillon_owner template ${template} ${copyByFile}`)
  } finally {
    await admin.end()
  }
  return urlOf(database)
}

export type TestDatabase = { url: string; db: Db; close(): Promise<void> }

/**
 * Returns the database of this worker, inside a transaction that is rolled back after each test. The database is cloned
 * once per worker. All tests of the file start with what `prepare` wrote, which saves the time of writing it before each.
 */
export function useDatabase(prepare?: () => Promise<void>): { readonly db: Db } {
  let client: pg.Client | undefined
  let db: Db | undefined
  beforeAll(async () => {
    client = new pg.Client({
      connectionString: await clone(`worker_${process.env.VITEST_POOL_ID ?? '0'}`),
      options: '-c timezone=UTC',
    })
    await client.connect()
    if (!prepare) return
    await client.query('begin')
    db = clientDb(client)
    await prepare()
  })
  beforeEach(async () => {
    await client?.query(prepare ? 'savepoint prepared' : 'begin')
    if (client) db = clientDb(client)
  })
  afterEach(async () => {
    await client?.query(prepare ? 'rollback to savepoint prepared' : 'rollback')
  })
  afterAll(async () => {
    await client?.end() // rolls back
  })
  return {
    get db() {
      if (!db) throw new Error('the database can be used only inside a test')
      return db
    },
  }
}

/**
 * Creates a database for a test that needs real commits or several connections, migrated unless the template is `template0`;
 * the test must close it.
 */
export async function freshDatabase(template?: 'template0'): Promise<TestDatabase> {
  const name = `fresh_${randomUUID().replaceAll('-', '')}`
  const url = await clone(name, template)
  const pool = makePool(url, silent, { max: 8 })
  return {
    url,
    db: poolDb(pool),
    async close() {
      await pool.end()
      const admin = new pg.Client({ connectionString: inject('superuserUrl') })
      await admin.connect()
      await admin.query(`drop database ${name} with (force)`)
      await admin.end()
    },
  }
}

export type EmptyDatabase = { url: string; close(): Promise<void> }

/** Creates a database without tables for a test that migrates it; the test must close it. */
export async function emptyDatabase(): Promise<EmptyDatabase> {
  const name = `empty_${randomUUID().replaceAll('-', '')}`
  const runAsAdmin = async (statement: string) => {
    const admin = new pg.Client({ connectionString: inject('superuserUrl') })
    await admin.connect()
    await admin.query(statement)
    await admin.end()
  }
  await runAsAdmin(`create database ${name} owner carillon_owner template template0 ${copyByFile}`)
  return { url: urlOf(name), close: () => runAsAdmin(`drop database ${name} with (force)`) }
}
