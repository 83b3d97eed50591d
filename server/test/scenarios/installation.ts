import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { runCli } from '../../src/cli/cli.ts'
import { listPostgresProcesses } from '../../src/supervisor/postgres-processes.ts'
import { signal } from '../../src/supervisor/processes.ts'
import { type Carillon, endWithTests, makeScratch, processesOf, startCarillon } from '../carillon-process.ts'
import { waitFor } from '../wait-for.ts'
import { type ApiResponse, basic, type Call, request } from './api-calls.ts'
import { childrenOf, commandOf, environmentOf, listIfExists, readIfExists } from './process-files.ts'
import { TcpProxy } from './tcp-proxy.ts'

// The whole product as real processes with its own directory: started from the checkout, used through its API and the
// simulator's control API, killed by tests, and removed at the end of every test.

const startScript = fileURLToPath(new URL('../../src/bin/start.ts', import.meta.url))
const scripts = {
  gateway: fileURLToPath(new URL('../../src/bin/gateway.ts', import.meta.url)),
  worker: fileURLToPath(new URL('../../src/bin/worker.ts', import.meta.url)),
}

const email = 'sandbox@example.org'
const apiKey = 'a-key-for-the-tests'
/** A substring of the command line of each process under the supervisor. */
const commandLineParts = {
  api: 'src/bin/api.ts',
  worker: 'src/bin/worker.ts',
  gateway: 'src/bin/gateway.ts',
  simulator: 'src/bin/simulator.ts',
  postmaster: 'bin/postgres',
}

export type Role = keyof typeof commandLineParts | 'supervisor'

export type InstallationOptions = {
  binds: number
  window: number
  /** Determines the rate: binds x window texts per latency. */
  latencyMs: number
  leaseMs: number
  /** Time without a response after which a text is unknown; 5 s by default. */
  responseDeadlineMs?: number
  /** Whether binds go through a TcpProxy, which tests can disturb. */
  proxy?: boolean
  env?: Record<string, string>
}

const open = new Set<Installation>()
process.once('exit', () => {
  for (const installation of open) installation.destroy()
})

export class Installation {
  readonly options: InstallationOptions
  readonly #scratch = makeScratch()
  readonly dataDir = join(this.#scratch.path, 'data')
  readonly rawFile = join(this.dataDir, 'simulator', 'submits.raw')
  #carillon: Carillon | undefined
  #port = 0
  #smppPort = 0
  #databaseUrl = ''
  #controlUrl = ''
  readonly #environments = new Map<Role, NodeJS.ProcessEnv>()
  /** The proxy of the binds, if the options asked for one. */
  proxy: TcpProxy | undefined

  private constructor(options: InstallationOptions) {
    this.options = options
    open.add(this)
  }

  /** Starts everything and waits until texts can be sent; removes everything on failure. */
  static async open(options: InstallationOptions): Promise<Installation> {
    const installation = new Installation(options)
    try {
      installation.#smppPort = await freePort()
      if (options.proxy) installation.proxy = await TcpProxy.start(installation.#smppPort)
      await installation.start()
      return installation
    } catch (error) {
      console.error(installation.logTails())
      installation.destroy()
      throw error
    }
  }

  /** Starts the supervisor, for the first time or after a kill, and waits until texts can be sent. */
  async start(): Promise<void> {
    const { binds, window, latencyMs, leaseMs, responseDeadlineMs = 5_000 } = this.options
    const port = this.proxy?.port ?? this.#smppPort
    this.#carillon = startCarillon({
      dataDir: this.dataDir,
      script: startScript,
      env: {
        CARILLON_PORT: String(this.#port),
        CARILLON_SANDBOX_EMAIL: email,
        CARILLON_SANDBOX_API_KEY: apiKey,
        CARILLON_SMPP_URL: `smpp://carillon:scenario@127.0.0.1:${port}?window=${window}&binds=${binds}`,
        CARILLON_SIMULATOR_SMPP_PORT: String(this.#smppPort),
        CARILLON_SIMULATOR_LATENCY_MS: String(latencyMs),
        CARILLON_LEASE_MS: String(leaseMs),
        CARILLON_RESPONSE_DEADLINE_MS: String(responseDeadlineMs),
        ...this.options.env,
      },
    })
    this.#port = await this.#carillon.ready()
    for (const role of ['gateway', 'worker'] as const) this.#environments.set(role, environmentOf(this.pid(role)))
    const { DATABASE_URL = '', CARILLON_SIMULATOR_URL = '' } = this.#environments.get('worker') ?? {}
    this.#databaseUrl = DATABASE_URL
    this.#controlUrl = CARILLON_SIMULATOR_URL
    await waitFor(() => this.isReady(), { timeoutMs: 60_000, what: 'the installation to be ready' })
  }

  async isReady(): Promise<boolean> {
    return (await fetch(`http://127.0.0.1:${this.#port}/readyz`)).ok
  }

  /** Calls the product's API. */
  call(
    method: string,
    path: string,
    body?: object | string,
    headers: Record<string, string> = {},
  ): Promise<ApiResponse> {
    return request(`${this.apiUrl}${path}`, method, body, { authorization: basic(email, apiKey), ...headers })
  }

  /** Creates an account with a key of full scope and a short code, and returns a function that calls the API with the key. */
  async makeAccount(name: string): Promise<Call> {
    const args = ['account', 'create', '--email', `${name}@example.org`, '--json']
    const output = await runCli({ args, env: { DATABASE_URL: this.#databaseUrl }, cwd: this.#scratch.path })
    const { account, api_key } = JSON.parse(output) as { account: { email: string }; api_key: { key: string } }
    const authorization = basic(account.email, api_key.key)
    return Object.assign(
      (method: string, path: string, body?: object | string) => this.call(method, path, body, { authorization }),
      { authorization },
    )
  }

  /** Runs `carillon reconcile` and returns what it prints if counters differ from the log; an empty list if none does. */
  async reconcile(): Promise<string[]> {
    let hasFailed = false
    const onFailure = () => {
      hasFailed = true
    }
    const env = { DATABASE_URL: this.#databaseUrl }
    const output = await runCli({ args: ['reconcile'], env, cwd: this.#scratch.path, onFailure })
    return hasFailed ? [`counters differ from the log\n${output}`] : []
  }

  /** The URL of the API. */
  get apiUrl(): string {
    return `http://127.0.0.1:${this.#port}/api/v2`
  }

  /** Calls the simulator's control API. */
  control(method: string, path: string, body?: object): Promise<ApiResponse> {
    return request(`${this.#controlUrl}${path}`, method, body)
  }

  /** Opens a connection to the product's database. */
  async connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#databaseUrl, application_name: 'scenario' })
    client.on('error', () => {}) // scenarios kill PostgreSQL
    await client.connect()
    return client
  }

  /** Runs `work` with a connection to the database, which may be restarting. */
  async withClient<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = await waitFor(() => this.connect(), { what: 'the database' })
    try {
      return await work(client)
    } finally {
      await client.end()
    }
  }

  /** Returns the pid of a role's process; throws while none runs. */
  pid(role: Role): number {
    const supervisor = this.#carillon?.supervisorPid()
    if (supervisor === undefined) throw new Error('nothing runs')
    if (role === 'supervisor') return supervisor
    const child = childrenOf(supervisor).find((pid) => commandOf(pid).includes(commandLineParts[role]))
    if (child === undefined) throw new Error(`no ${role} runs`)
    return child
  }

  kill(role: Role, name: NodeJS.Signals = 'SIGKILL'): void {
    if (!signal(this.pid(role), name)) throw new Error(`the ${role} had already ended`)
  }

  /** Kills all processes of a role, also those that tests have started, and waits until they have ended. */
  async killAll(role: Exclude<Role, 'postmaster' | 'supervisor'>): Promise<void> {
    for (const pid of this.pidsOf(role)) signal(pid, 'SIGKILL')
    await waitFor(() => this.pidsOf(role).length === 0, { what: `each ${role} to end` })
  }

  /** Returns the pids of all processes of a role, also of those that tests have started. */
  pidsOf(role: Exclude<Role, 'postmaster' | 'supervisor'>): number[] {
    const all = processesOf(this.dataDir)
    return all.filter(({ command }) => command.includes(commandLineParts[role])).map(({ pid }) => pid)
  }

  /** Kills all workers while the supervisor cannot restart them, and starts another one after `during`. */
  async replaceWorkers(during: () => Promise<void>): Promise<void> {
    this.kill('supervisor', 'SIGSTOP')
    try {
      await this.killAll('worker')
      await during()
      this.startSecond('worker')
    } finally {
      this.kill('supervisor', 'SIGCONT')
    }
  }

  /** Kills all processes of the database, and waits until it is back after `during`. */
  async killDatabase(during: () => Promise<void>): Promise<void> {
    await waitFor(() => this.pid('postmaster'), { what: 'a postmaster to kill' })
    this.signalDatabase('SIGKILL')
    await during()
    await waitFor(() => this.isReady(), { what: 'the database to be back' })
  }

  /** Sends a signal to all processes of PostgreSQL. */
  signalDatabase(name: NodeJS.Signals): void {
    for (const pid of this.databasePids()) signal(pid, name)
  }

  /** Returns the pids of the postmaster and its children. */
  databasePids(): number[] {
    const clusterName = /cluster_name=(\S+)/.exec(commandOf(this.pid('postmaster')))?.[1]
    if (!clusterName) throw new Error('no database runs')
    return listPostgresProcesses(clusterName)
  }

  /** Starts a second process of a role with the same settings; returns its pid. The first one may have been killed since `start`. */
  startSecond(role: 'gateway' | 'worker'): number {
    const env = { ...this.#environments.get(role) }
    delete env.NODE_CHANNEL_FD // the new process has no channel to the supervisor
    delete env.CARILLON_LOG_FILE // the tests read its lines from a file of its own
    const logFile = openSync(join(this.dataDir, 'log', `second ${role}.log`), 'a')
    const second = spawn(process.execPath, [scripts[role]], { env, stdio: ['ignore', logFile, logFile] })
    closeSync(logFile)
    if (second.pid === undefined) throw new Error(`failed to start a second ${role}`)
    endWithTests(second)
    return second.pid
  }

  /** Stops everything in order; returns the supervisor's exit code. */
  async stop(): Promise<number | null> {
    this.kill('supervisor', 'SIGTERM')
    const exit = await this.#carillon?.exit
    return exit?.code ?? null
  }

  /** Waits until the killed supervisor's process has ended; only then may the next one be started. */
  async waitForSupervisorExit(): Promise<void> {
    await this.#carillon?.exit
  }

  /** Returns the log of a role. */
  log(role: Role | 'second gateway' | 'second worker'): string {
    return readIfExists(join(this.dataDir, 'log', `${role === 'postmaster' ? 'postgres' : role}.log`))
  }

  /** Returns the last log lines of each process, for the analysis of a failed test. */
  logTails(lines = 12): string {
    const folder = join(this.dataDir, 'log')
    return listIfExists(folder)
      .map((name) => {
        const tail = readFileSync(join(folder, name), 'utf8').trimEnd().split('\n').slice(-lines)
        return `--- ${name}\n${tail.map((line) => line.slice(0, 400)).join('\n')}`
      })
      .join('\n')
  }

  /** Kills all processes of this installation, repeatedly until none is left, and removes its directory. */
  destroy(): void {
    open.delete(this)
    this.proxy?.close()
    // a process may have started another one before it was killed
    for (let attempt = 0; attempt < 300; attempt++) {
      const running = processesOf(this.dataDir)
      if (running.length === 0) break
      for (const { pid } of running) signal(pid, 'SIGKILL')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
    }
    this.#scratch.remove()
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address ? address.port : 0
}
