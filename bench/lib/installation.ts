import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { checkPort } from '../../server/src/supervisor/port.ts'
import { makeScratch, startCarillon } from '../../server/test/carillon-process.ts'

// The whole product with all roles and its own data directory.

const startScript = fileURLToPath(new URL('../../server/src/bin/start.ts', import.meta.url))
const stopMs = 60_000

export type InstallationOptions = {
  /** Number of binds to the simulator, and window slots of each: at most 100 per bind and 1,000 in total. */
  binds: number
  window: number
  /** Cap in submits per second; unlimited if undefined. */
  mps?: number | undefined
  env?: Record<string, string>
}

export type Installation = {
  dataDir: string
  url: string
  databaseUrl: string
  /** File of the submits that the simulator has accepted. */
  rawFile: string
  /** The supervisor, the root of the process tree. */
  pid: number
  authorization: string
  /** Calls the API as the sandbox account and returns the body; throws an Error with the body of an error response. */
  call<T>(method: string, path: string, body?: unknown): Promise<T>
  /** Stops the installation; throws if its exit code is not 0. */
  stop(): Promise<void>
  /** Removes the data directory and kills the remaining processes that use it. */
  remove(): void
}

/** Starts an installation without simulated latency; resolves when it is ready to send. */
export async function startInstallation({ binds, window, mps, env = {} }: InstallationOptions): Promise<Installation> {
  if (window > 100 || binds * window > 1_000) throw new Error('window must be at most 100 per bind and 1,000 in total')
  const scratch = makeScratch()
  const dataDir = join(scratch.path, 'data')
  const smppPort = await checkPort('127.0.0.1', 0)
  const carillon = startCarillon({
    dataDir,
    script: startScript,
    env: {
      CARILLON_SIMULATOR_LATENCY_MS: '0',
      CARILLON_SIMULATOR_RECEIPT_DELAY_MS: '0',
      CARILLON_SIMULATOR_SMPP_PORT: String(smppPort),
      CARILLON_SMPP_URL: `smpp://bench:bench@127.0.0.1:${smppPort}?window=${window}&binds=${binds}${mps === undefined ? '' : `&mps=${mps}`}`,
      CARILLON_LOG_LEVEL: 'warn',
      ...env,
    },
  })
  try {
    const url = `http://127.0.0.1:${await carillon.ready()}`
    const account = JSON.parse(readFileSync(join(dataDir, 'sandbox.json'), 'utf8')) as { email: string; apiKey: string }
    const authorization = `Basic ${Buffer.from(`${account.email}:${account.apiKey}`).toString('base64')}`
    await waitUntilReady(url)
    return {
      dataDir,
      url,
      databaseUrl: findDatabaseUrl(dataDir),
      rawFile: join(dataDir, 'simulator', 'submits.raw'),
      pid: carillon.supervisorPid(),
      authorization,
      async call<T>(method: string, path: string, body?: unknown) {
        const response = await fetch(`${url}/api/v2${path}`, {
          method,
          headers: { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        })
        const text = await response.text()
        if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
        return JSON.parse(text) as T
      },
      async stop() {
        carillon.process.kill('SIGTERM')
        const timer = setTimeout(() => carillon.process.kill('SIGKILL'), stopMs)
        const { code, by } = await carillon.exit
        clearTimeout(timer)
        if (code !== 0) throw new Error(`Carillon ended with ${by ?? `code ${code}`}:\n${carillon.output()}`)
      },
      remove: scratch.remove,
    }
  } catch (error) {
    scratch.remove()
    throw new Error(`Carillon did not start:\n${carillon.output()}`, { cause: error })
  }
}

async function waitUntilReady(url: string): Promise<void> {
  for (const deadline = performance.now() + 30_000; performance.now() < deadline; ) {
    const response = await fetch(`${url}/readyz`)
    await response.text()
    if (response.ok) return
    await sleep(50)
  }
  throw new Error('Carillon was not ready within 30 s')
}

/** Returns the URL of the embedded database, according to the files in its directory. */
function findDatabaseUrl(dataDir: string): string {
  const home = join(dataDir, 'postgres')
  const record = join(home, 'location')
  const cluster = existsSync(record) ? readFileSync(record, 'utf8').trim() : join(home, 'cluster')
  const password = readFileSync(join(home, 'password'), 'utf8').trim()
  const [, , , port, socketDir, address] = readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n')
  const host = socketDir ? encodeURIComponent(socketDir) : address
  return `postgresql://carillon:${password}@${host}:${port}/carillon`
}
