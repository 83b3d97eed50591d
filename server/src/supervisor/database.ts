import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Postgres, startPostgres } from './embedded-postgres.ts'

const firstDelayMs = 100
const longestDelayMs = 2_000

type DatabaseOptions = {
  dataDir: string
  logDir: string
  report: (line: string) => void
  /** Called when the cluster's name is known. */
  onChange: () => void
}

/** Runs the embedded PostgreSQL, and restarts it on the same address until it is stopped. */
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

  /** Starts PostgreSQL and returns the server; throws OperatorError when it fails to start. */
  async start(): Promise<Postgres> {
    const starting = this.#launch()
    this.#starting = starting.catch(() => {})
    return starting
  }

  async #launch(): Promise<Postgres> {
    const { dataDir, logDir, onChange } = this.#options
    const server = await startPostgres({
      dataDir: join(dataDir, 'postgres'),
      log: join(logDir, 'postgres.log'),
      port: this.#server?.port,
      named: (clusterName) => {
        this.#clusterName = clusterName
        onChange()
      },
    })
    this.#server = server
    void server.exited.then(() => {
      if (!this.#stopping) this.#starting = this.#startAgain()
    })
    return server
  }

  async #startAgain(): Promise<void> {
    this.#options.report('PostgreSQL ended; restarting it')
    for (let delayMs = firstDelayMs; !this.#stopping; delayMs = Math.min(delayMs * 2, longestDelayMs)) {
      try {
        await this.#launch()
        this.#options.report('PostgreSQL is back')
        return
      } catch (e) {
        this.#options.report(`${(e as Error).message}\nRetrying in ${delayMs / 1_000} s`)
        await sleep(delayMs)
      }
    }
  }

  /** Stops PostgreSQL; a second call in immediate mode shortens the first. */
  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    this.#stopping = true
    await this.#starting
    await this.#server?.stop(mode)
  }
}
