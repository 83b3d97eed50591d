import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Logger } from 'pino'
import { type Config, listenUrl } from '../config/config.ts'
import { OperatorError } from '../errors.ts'
import { LogFile } from '../system/log-file.ts'
import { makeLogger } from '../system/logger.ts'
import { renderBanner, type SandboxAccount } from './banner.ts'
import { Child, type Ready } from './child.ts'
import { type DataDir, openDataDir } from './data-dir.ts'
import { Database } from './database.ts'
import type { Postgres } from './embedded-postgres.ts'
import { checkPort } from './port.ts'
import { type RoleFacts, type RoleName, roleEnv } from './role-env.ts'
import { ensureSecretKey } from './secret-key.ts'
import { WatchdogLink } from './watchdog-link.ts'

export type { RoleName } from './role-env.ts'

/** The input of `prepare`. */
export type Preparation = { config: Config; databaseUrl: string; dataDir: string; log: Logger }

export type SupervisorOptions = {
  config: Config
  /** The environment from which the roles inherit. */
  env: NodeJS.ProcessEnv
  print: (line: string) => void
  /** Migrates the database and returns the sandbox's account. */
  prepare: (preparation: Preparation) => Promise<SandboxAccount | undefined>
  /** Replaces the program of a role, for tests of the supervisor. */
  scriptOf?: (role: RoleName) => string
}

const stopOrder: RoleName[] = ['api', 'worker', 'gateway', 'simulator']
const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const sameSignalMs = 1_000 // a terminal's Ctrl-C arrives twice: from the terminal and forwarded by npm
const roleStopMs = 9_000 // a role limits its own stop to 8 s

/**
 * Starts all processes on this machine, prints the banner, restarts processes that fail, and resolves when a signal has
 * stopped them. Throws OperatorError if the start fails.
 */
export async function supervise(options: SupervisorOptions): Promise<void> {
  const { config, print } = options
  const dir = await openDataDir(config.dataDir, config.mode, print)
  try {
    const port = await checkPort(config.http.host, config.http.port)
    await new Supervisor(options, dir, port).run()
  } finally {
    dir.release()
  }
}

class Stopped extends Error {}

/** Describes an error; a failed connection to a name with several addresses has a code but no message. */
function describe(e: unknown): string {
  const { message, code } = e as { message?: string; code?: string }
  return message || code || String(e)
}

class Supervisor {
  readonly #options: SupervisorOptions
  readonly #dir: DataDir
  readonly #facts: RoleFacts
  readonly #log
  readonly #watchdog = new WatchdogLink(() => this.#setKillList())
  readonly #children = new Map<RoleName, Child>()
  #database: Database | undefined
  #firstSignalAt: number | undefined
  readonly #stopRequested = Promise.withResolvers<never>()

  constructor(options: SupervisorOptions, dir: DataDir, port: number) {
    const { config } = options
    this.#options = options
    this.#dir = dir
    this.#log = makeLogger(
      { role: 'supervisor' },
      config.logLevel,
      new LogFile(join(dir.logDir, 'supervisor.log'), config.logFileBytes),
    )
    const { smppPort, controlPort } = config.simulator
    const simulator = { systemId: 'carillon', password: randomBytes(4).toString('hex'), smppPort, controlPort }
    this.#facts = {
      config,
      port,
      dataDir: dir.path,
      secretKey: config.secretKey?.reveal() ?? ensureSecretKey(dir.path),
      databaseUrl: config.databaseUrl?.reveal() ?? '',
      simulator: config.mode === 'sandbox' ? simulator : undefined,
    }
    this.#stopRequested.promise.catch(() => {})
  }

  async run(): Promise<void> {
    const onSignal = () => this.#onSignal()
    for (const name of stopSignals) process.on(name, onSignal)
    this.#watchdog.start()
    try {
      await this.#start()
      await this.#stopRequested.promise
    } catch (e) {
      if (!(e instanceof Stopped)) throw e
    } finally {
      await this.#stop()
      await this.#watchdog.release()
      for (const name of stopSignals) process.off(name, onSignal)
    }
  }

  async #start(): Promise<void> {
    const { config, print } = this.#options
    const server = await this.#startDatabase()
    const account = await this.#unlessStopped(this.#prepare())
    const { dataDir, port } = this.#facts
    if (this.#facts.simulator) {
      const { smppPort, controlPort } = await this.#unlessStopped(this.#launch('simulator'))
      // a restarted simulator uses the same ports
      this.#facts.simulator.smppPort = Number(smppPort)
      this.#facts.simulator.controlPort = Number(controlPort)
    }
    await this.#unlessStopped(Promise.all([this.#launch('gateway'), this.#launch('worker'), this.#launch('api')]))
    this.#log.info({ port, dataDir, mode: config.mode }, 'all roles started')
    print(this.#banner(server, account))
  }

  async #startDatabase(): Promise<Postgres | undefined> {
    if (this.#options.config.databaseUrl) return undefined
    this.#database = new Database({
      dataDir: this.#dir.path,
      logDir: this.#dir.logDir,
      logFileBytes: this.#options.config.logFileBytes,
      report: (line) => this.#report(line),
      onChange: () => this.#setKillList(),
    })
    const server = await this.#unlessStopped(this.#database.start())
    this.#facts.databaseUrl = server.url
    return server
  }

  async #prepare(): Promise<SandboxAccount | undefined> {
    const { config, prepare } = this.#options
    const { databaseUrl, dataDir } = this.#facts
    try {
      return await prepare({ config, databaseUrl, dataDir, log: this.#log })
    } catch (e) {
      if (e instanceof OperatorError) throw e
      this.#log.error({ err: e }, 'database preparation failed')
      const subject = config.databaseUrl ? 'The database of DATABASE_URL' : 'The embedded database'
      throw new OperatorError(`${subject} cannot be used: ${describe(e)}`)
    }
  }

  #launch(name: RoleName): Promise<Ready> {
    const child = new Child({
      name,
      script: this.#options.scriptOf?.(name) ?? fileURLToPath(new URL(`../bin/${name}.ts`, import.meta.url)),
      logFile: join(this.#dir.logDir, `${name}.log`),
      logFileBytes: this.#options.config.logFileBytes,
      env: () => roleEnv(name, this.#options.env, this.#facts),
      report: (line) => this.#report(line),
      onChange: () => this.#setKillList(),
    })
    this.#children.set(name, child)
    return child.start()
  }

  #banner(server: Postgres | undefined, account: SandboxAccount | undefined): string {
    const { config } = this.#options
    const { dataDir, port } = this.#facts
    const url = config.http.publicUrl.replace(/:0$/, `:${port}`)
    const isElsewhere = server && !server.clusterDir.startsWith(dataDir)
    const databaseNote = isElsewhere
      ? `${server.clusterDir} (this process is root; PostgreSQL runs as ${server.account}, which cannot reach the data directory)`
      : undefined
    const facts = { mode: config.mode, url, listenUrl: listenUrl(config.http.host, port) }
    return renderBanner({ ...facts, dataDir, databaseNote, account })
  }

  #report(line: string) {
    this.#options.print(line)
    this.#log.warn(line)
  }

  /** Records the running processes for the watchdog and for the next start. */
  #setKillList() {
    const roles = [...this.#children.values()].map((child) => child.id).filter((id) => id !== undefined)
    this.#watchdog.setKillList({ roles, clusterName: this.#database?.clusterName })
    this.#dir.record(this.#watchdog.id, roles)
  }

  async #unlessStopped<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#stopRequested.promise])
  }

  #onSignal() {
    const now = performance.now()
    if (this.#firstSignalAt === undefined) {
      this.#firstSignalAt = now
      this.#options.print('Stopping. Press Ctrl-C again to kill all processes.')
      this.#stopRequested.reject(new Stopped())
    } else if (now - this.#firstSignalAt > sameSignalMs) {
      this.#options.print('Killing all processes.')
      for (const child of this.#children.values()) child.kill()
      void this.#database?.stop('immediate')
    }
  }

  /** Stops each role before the roles that it uses, and PostgreSQL last. */
  async #stop(): Promise<void> {
    for (const name of stopOrder) await this.#children.get(name)?.stop(roleStopMs)
    await this.#database?.stop('fast')
    this.#log.info('all roles stopped')
  }
}
