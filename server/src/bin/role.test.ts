import { type ChildProcess, fork, spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { freshDatabase } from '../../test/database.ts'
import { waitFor } from '../../test/wait-for.ts'

const standIns = join(import.meta.dirname, '../../test/stand-ins')

const processes: ChildProcess[] = []
afterEach(() => {
  for (const child of processes.splice(0)) child.kill('SIGKILL')
})

/** Runs a stand-in role, without a supervisor or with the channel to one. */
function run(name: string, { supervised = false, env = {} }: { supervised?: boolean; env?: NodeJS.ProcessEnv } = {}) {
  const script = join(standIns, name)
  const options = { env: { ...process.env, CARILLON_DATA_DIR: '/nowhere', ...env } }
  const child = supervised
    ? fork(script, { ...options, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    : spawn(process.execPath, [script], { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  processes.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (bytes) => {
      output += String(bytes)
    })
  }
  // not 'close', which is not emitted after a disconnect from this side
  const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)))
  const read = new Promise((resolve) => child.stdout?.once('end', resolve))
  const exit = Promise.all([exited, read]).then(([codeOrSignal]) => codeOrSignal)
  return { child, exit, output: () => output, ready: () => waitFor(() => output.includes('"msg":"ready"')) }
}

test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
  '%s stops a role without a supervisor, with code 0',
  async (name) => {
    const role = run('simulator.ts')
    await role.ready()
    role.child.kill(name)
    expect(await role.exit).toBe(0)
    expect(role.output()).toContain('"msg":"stopped"')
  },
)

test("a supervised role reports ready, ignores the terminal's signals, and exits with its supervisor", async () => {
  const role = run('simulator.ts', { supervised: true })
  const ready = new Promise((resolve) => role.child.once('message', resolve))
  expect(await ready).toMatchObject({ type: 'ready', smppPort: expect.any(Number), controlPort: expect.any(Number) })
  role.child.kill('SIGINT')
  role.child.kill('SIGHUP')
  role.child.disconnect()
  expect(await role.exit).toBe(0)
  expect(role.output()).toContain('supervisor exited')
  expect(role.output()).not.toContain('"reason":"SIG')
})

test('a role without its supervisor exits even if it cannot finish its work', async () => {
  const database = await freshDatabase()
  const role = run('stuck.ts', { supervised: true, env: { DATABASE_URL: database.url } })
  await role.ready()
  role.child.disconnect()
  expect(await role.exit).toBe(0)
  expect(role.output()).toContain('stop timed out, exiting')
  await database.close()
})

test('an uncaught exception is logged and ends the role', async () => {
  const role = run('broken.ts')
  expect(await role.exit).toBe(1)
  expect(role.output()).toContain('"level":60')
  expect(role.output()).toContain('this role always fails')
})

test('invalid settings are printed as a message', async () => {
  const role = run('idle.ts', { env: { DATABASE_URL: '', CARILLON_PORT: 'http' } })
  expect(await role.exit).toBe(1)
  expect(role.output()).toContain('CARILLON_PORT must be a whole number')
  const withoutDatabase = run('idle.ts', { env: { DATABASE_URL: '' } })
  expect(await withoutDatabase.exit).toBe(1)
  expect(withoutDatabase.output()).toContain('DATABASE_URL is not set')
})

test('a role without a supervisor rejects a database of the other mode', async () => {
  const database = await freshDatabase()
  const of = (mode: string) => run('idle.ts', { env: { DATABASE_URL: database.url, CARILLON_MODE: mode } })
  const first = of('sandbox')
  await first.ready()
  const other = of('production')
  expect(await other.exit).toBe(1)
  expect(other.output()).toContain('The database is in sandbox mode, but CARILLON_MODE is production.')
  expect(other.output()).not.toContain('"level":60')
  first.child.kill('SIGTERM')
  await first.exit
  await database.close()
})

test('migrate sets the mode of a new database and rejects a database of the other mode', async () => {
  const database = await freshDatabase()
  const migrate = (mode: string) =>
    run('../../src/bin/migrate.ts', { env: { DATABASE_URL: database.url, CARILLON_MODE: mode } })
  expect(await migrate('production').exit).toBe(0)
  const other = migrate('sandbox')
  expect(await other.exit).toBe(1)
  expect(other.output()).toContain('The database is in production mode, but CARILLON_MODE is sandbox.')
  const role = run('idle.ts', { env: { DATABASE_URL: database.url, CARILLON_MODE: 'sandbox' } })
  expect(await role.exit).toBe(1)
  await database.close()
})

test('a role on an empty database prints the command that migrates it', async () => {
  const database = await freshDatabase()
  await database.db.exec('empty', 'drop schema public cascade')
  const role = run('idle.ts', { env: { DATABASE_URL: database.url } })
  expect(await role.exit).toBe(1)
  expect(role.output()).toContain('Run first: npm run role -- migrate')
  await database.close()
})
