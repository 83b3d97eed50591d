import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { makeScratch } from '../../test/carillon-process.ts'
import { waitFor } from '../../test/wait-for.ts'
import { type Postgres, startPostgres } from './embedded-postgres.ts'
import { removeCluster } from './postgres-files.ts'

// The log of a real PostgreSQL, whose statements fail with a phone number in them.

const phone = '2065550142'
const scratch = makeScratch()
const home = join(scratch.path, 'postgres')
const log = join(scratch.path, 'postgres.log')
let server: Postgres
let client: pg.Client

beforeAll(async () => {
  server = await startPostgres({ dataDir: home, log, settings: { fsync: 'off', deadlock_timeout: '100ms' } })
  const made = await connect()
  await made.query('create table people (phone bigint unique check (phone < 1e10), name text not null default $$a$$)')
  await made.query('create table calls (phone bigint references people (phone))')
  await made.query('insert into people values ($1), ($2)', [phone, Number(phone) + 1])
  await made.end()
})

beforeEach(async () => {
  // a test may have killed the server, which then recovers
  client = await waitFor(connect)
  await client.query('set statement_timeout = 500')
})
afterEach(() => client.end().catch(() => {}))

afterAll(async () => {
  await server.stop('immediate')
  removeCluster(home)
  scratch.remove()
})

async function connect(): Promise<pg.Client> {
  const made = new pg.Client({ connectionString: server.url })
  await made.connect()
  made.on('error', () => {})
  return made
}

const codeOf = (query: Promise<unknown>) =>
  query.then(
    () => 'none',
    (error: { code: string }) => error.code,
  )

test.each([
  ['a unique violation', '23505', 'insert into people values ($1)', [phone]],
  ['a check violation', '23514', 'insert into people values ($1)', [`${phone}0`]],
  ['a missing value', '23502', 'insert into people values ($1, null)', [`${phone}`.replace('2', '3')]],
  ['an invalid number', '22P02', 'select $1::bigint', [`x${phone}`]],
  ['a number that is out of range', '22003', 'select $1::smallint', [phone]],
  ['an error in a statement with literals', '42703', `select nothing from people where phone = ${phone}`, []],
  [
    'an error of a function',
    'P0001',
    `do $$ begin raise exception 'odd ${phone}' using detail = '${phone}'; end $$`,
    [],
  ],
  ['a warning of a function', 'none', `do $$ begin raise warning 'odd ${phone}'; end $$`, []],
  ['a missing reference', '23503', 'insert into calls values ($1)', [Number(phone) + 5]],
  ['text that is no JSON', '22P02', 'select $1::json', [`{"phone":${phone}`]],
  ['a statement that takes too long', '57014', `select pg_sleep(60), '${phone}'`, []],
])('%s is reported to the client', async (_what, code, sql, values: unknown[]) => {
  expect(await codeOf(client.query(sql, values))).toBe(code)
})

test.each([
  ['an invalid row', '22P02', `${phone}x`],
  ['a row that exists', '23505', phone],
])('%s of a COPY is reported to the client', async (_what, code, row) => {
  const stream = client.query(copyFrom('copy people (phone) from stdin'))
  stream.end(`${row}\n`)
  expect(await codeOf(finished(stream))).toBe(code)
})

test('a deadlock is reported to the client', async () => {
  const other = await connect()
  const lock = (one: pg.Client, number: number) =>
    one.query(`update people set name = '${phone}' where phone = ${number}`)
  await client.query('begin')
  await other.query('begin')
  await lock(client, Number(phone))
  await lock(other, Number(phone) + 1)
  const codes = await Promise.all([codeOf(lock(client, Number(phone) + 1)), codeOf(lock(other, Number(phone)))])
  expect(codes.sort()).toEqual(['40P01', 'none'])
  await client.query('rollback')
  await other.end()
})

test('the log has none of these values, but the messages of the server itself', async () => {
  const logged = (text: string) => waitFor(() => readFileSync(log, 'utf8').includes(text), { what: text })
  // the superuser is another role, whose statements have the settings of the server
  const admin = new pg.Client({ connectionString: server.superuserUrl })
  await admin.connect()
  admin.on('error', () => {})
  const run = async () => {
    const other = await connect()
    const { rows } = await other.query<{ pid: number }>('select pg_backend_pid() as pid')
    const pid = Number(rows[0]?.pid)
    const running = other.query(`select pg_sleep(60) from people where phone = ${phone}`).catch(() => {})
    const isRunning = `select from pg_stat_activity where pid = $1 and query like '%sleep%' and state = 'active'`
    await waitFor(async () => (await admin.query(isRunning, [pid])).rowCount === 1)
    return { pid, running }
  }
  const terminated = await run()
  await admin.query('select pg_terminate_backend($1)', [terminated.pid])
  await terminated.running
  await logged('terminating connection due to administrator command')
  const killed = await run()
  process.kill(killed.pid, 'SIGKILL')
  await killed.running
  await logged('was terminated by signal 9')
  const text = readFileSync(log, 'utf8')
  expect(text).toContain('database system is ready to accept connections')
  expect(text).not.toMatch(/206\D{0,3}555|people|ERROR|WARNING/)
})
