import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Postgres, startPostgres } from './embedded-postgres.ts'

const firstDelayMs = 100
const maxDelayMs = 2_000

type DatabaseOptions = {
  dataDir: string
  logDir: string
  logFileBytes: number
  report: (line: string) => void
  /** Called when the cluster's name has changed. */
  onChange: () => void
}

/** Runs the embedded PostgreSQL, and restarts it with the same URL until it is stopped. */
export class Database {
  readonly #options: DatabaseOptions
  #server: Postgres | undefined
  #clusterName: string | undefined
  #starting: Promise<unknown> = Promise.resolve()
  #stopping = false

  constructor(options: DatabaseOptions) {
    this.#options = options
  }

  get clusterName(): string | undefined {
    return this.#clusterName
  }

  /** Starts PostgreSQL and returns the server; throws OperatorError if it fails to start. */
  async start(): Promise<Postgres> {
    const starting = this.#launch()
    this.#starting = starting.catch(() => {})
    return starting
  }

  async #launch(): Promise<Postgres> {
    const { dataDir, logDir, logFileBytes, onChange, report } = this.#options
    const server = await startPostgres({
      dataDir: join(dataDir, 'postgres'),
      log: join(logDir, 'postgres.log'),
      logFileBytes,
      port: this.#server?.port,
      report,
      onNamed: (clusterName) => {
        this.#clusterName = clusterName
        onChange()
      },
    })
    this.#server = server
    void server.exited.then(() => {
      if (!this.#stopping) this.#starting = this.#restart()
    })
    return server
  }

  async #restart(): Promise<void> {
    this.#options.report('PostgreSQL ended; restarting it')
    for (let delayMs = firstDelayMs; !this.#stopping; delayMs = Math.min(delayMs * 2, maxDelayMs)) {
      try {
        await this.#launch()
        this.#options.report('PostgreSQL is running again')
        return
      } catch (e) {
        this.#options.report(`${(e as Error).message}\nRetrying in ${delayMs / 1_000} s`)
        await sleep(delayMs)
      }
    }
  }

  /** Stops PostgreSQL; a second call in immediate mode shortens a fast stop. */
  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    this.#stopping = true
    await this.#starting
    await this.#server?.stop(mode)
  }
}
