import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { make } from '../../test/make.ts'
import { poolDb } from '../db/db.ts'
import { migrate } from '../db/migrate.ts'
import { makePool } from '../db/pool.ts'
import { listExcessPrivileges } from '../db/privileges.ts'
import { installJobs } from '../jobs/boss.ts'
import { enqueue } from '../jobs/jobs.ts'
import { type Postgres, startPostgres } from './embedded-postgres.ts'
import { removeCluster } from './postgres-files.ts'
import { ensureOwner } from './postgres-owner.ts'
import { WatchdogLink } from './watchdog-link.ts'

let home: string
let postgres: Postgres
/** The URL of the owner; one of the tests changes its password. */
let url: string
const watchdog = new WatchdogLink(() => {})

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'carillon-owner-'))
  watchdog.start()
  const onNamed = (clusterName: string) => watchdog.setKillList({ roles: [], clusterName })
  postgres = await startPostgres({ dataDir: home, settings: { fsync: 'off' }, onNamed })
  url = postgres.url
})

afterAll(async () => {
  await postgres.stop('immediate')
  await watchdog.release()
  removeCluster(home)
})

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

test.each([
  `copy (select 1) to program 'true'`,
  `create table stolen (line text); copy stolen from '/etc/hostname'`,
  `select pg_read_file('postmaster.pid')`,
  'create role intruder',
  'create database intruder',
  `alter system set log_statement = 'all'`,
  'alter role carillon_owner superuser',
  `alter role carillon password 'x'`,
  'set role carillon',
  'create extension file_fdw',
])('the role that Carillon connects as must not run: %s', async (statement) => {
  const run = withClient(url, (client) => client.query(statement))
  await expect(run).rejects.toThrow(/permission denied|must be superuser|not available/)
})

test('the passwords are readable only for the account of Carillon', () => {
  for (const name of ['password', 'owner.password']) expect(statSync(join(home, name)).mode & 0o777).toBe(0o600)
})

test('a database that the superuser owns, from an earlier version, gets the owner and works with it', async () => {
  const urlOf = (name: string) => postgres.superuserUrl.replace(/\/carillon$/, `/${name}`)
  await withClient(urlOf('postgres'), async (client) => {
    await client.query('drop database carillon')
    await client.query('drop role carillon_owner')
    await client.query('create database carillon')
  })
  rmSync(join(home, 'owner.password'))
  await migrate(postgres.superuserUrl)
  await installJobs(postgres.superuserUrl)
  await withClient(postgres.superuserUrl, (client) => client.query(`select ensure_log_day('2026-11-01')`))

  const password = await ensureOwner(home, urlOf)
  expect(await ensureOwner(home, urlOf)).toBe(password)

  url = postgres.url.replace(/:\w+@/, `:${password}@`)
  const pool = makePool(url, pino({ level: 'silent' }))
  try {
    const db = poolDb(pool)
    const owned = /* sql */ `
      select oid::regclass::text as name from pg_class where relowner = to_regrole('carillon')
         and relnamespace in ('public'::regnamespace, 'pgboss'::regnamespace)
      union all select oid::regprocedure::text from pg_proc where proowner = to_regrole('carillon')
         and pronamespace in ('public'::regnamespace, 'pgboss'::regnamespace)
      union all select oid::regtype::text from pg_type where typowner = to_regrole('carillon')
         and typnamespace in ('public'::regnamespace, 'pgboss'::regnamespace)`
    expect(await db.many('owned', owned)).toEqual([])
    await make.list(db)
    await db.exec('day', `select ensure_log_day('2026-11-02')`)
    await db.exec('next_version', 'alter table message_log add column extra text')
    await enqueue(db, 'example', {})
    await installJobs(url)
    expect(await listExcessPrivileges(db)).toEqual([])
  } finally {
    await pool.end()
  }
})

test('a superuser and a role that can start programs have more privileges than needed', async () => {
  const privilegesOf = async (url: string) => {
    const pool = makePool(url, pino({ level: 'silent' }))
    const found = await listExcessPrivileges(poolDb(pool))
    await pool.end()
    return found
  }
  expect(await privilegesOf(postgres.superuserUrl)).toEqual(['superuser'])
  await withClient(postgres.superuserUrl, (client) =>
    client.query(`create role driver login password 'driver' in role pg_execute_server_program`),
  )
  expect(await privilegesOf(postgres.superuserUrl.replace(/carillon:\w+@/, 'driver:driver@'))).toEqual([
    'pg_execute_server_program',
  ])
})
