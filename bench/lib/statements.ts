import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

// Samples the database over a separate connection: the names of its processes and, for a profile, their statements.

const sampleMs = 20

/** A statement's share of all samples of active backends, with its wait events. */
export type StatementShare = { statement: string; share: number; samples: number; waits: string }

type Activity = { pid: number; application: string; query: string; state: string; wait: string | null }

/** Cost of a statement since the last reset, from pg_stat_statements. */
export type StatementCost = { statement: string; calls: number; seconds: number; rows: number; walMb: number }

export class DatabaseWatch {
  readonly #client: pg.Client
  readonly #applications = new Map<number, string>()
  readonly #samples = new Map<string, { total: number; waits: Map<string, number> }>()
  #timer: NodeJS.Timeout | undefined
  #naming: NodeJS.Timeout | undefined
  #busy = false

  constructor(databaseUrl: string) {
    this.#client = new pg.Client({ connectionString: databaseUrl, application_name: 'bench' })
    this.#client.on('error', () => {})
  }

  async start(): Promise<void> {
    await this.#client.connect()
    await this.#sample()
    this.#naming = setInterval(() => void this.#sample(), 500)
  }

  /**
   * Enables pg_stat_statements, if the server's package contains it. This stops the server, which the supervisor starts
   * again.
   */
  static async countStatements(databaseUrl: string): Promise<void> {
    const query = async <T>(sql: string) => {
      const client = new pg.Client({ connectionString: databaseUrl, application_name: 'bench' })
      client.on('error', () => {})
      await client.connect()
      try {
        return (await client.query(sql)).rows[0] as T
      } finally {
        await client.end()
      }
    }
    if (!(await query(`select from pg_available_extensions where name = 'pg_stat_statements'`))) return
    await query(`alter system set shared_preload_libraries = 'pg_stat_statements'`)
    const { pid } = await query<{ pid: number }>(
      `select split_part(pg_read_file('postmaster.pid'), e'\\n', 1)::int as pid`,
    )
    process.kill(pid, 'SIGINT')
    const restarted = () =>
      query<{ on: boolean }>(`select current_setting('shared_preload_libraries') <> '' as on`).then(
        ({ on }) => on,
        () => false,
      )
    for (let attempts = 0; !(await restarted()); attempts++) {
      if (attempts === 100) throw new Error('the database did not restart within 10 s')
      await sleep(100)
    }
    await query('create extension pg_stat_statements')
  }

  /** Returns statements by execution time, largest first; undefined without pg_stat_statements. */
  async costs(limit = 15): Promise<StatementCost[] | undefined> {
    try {
      const { rows } = await this.#client.query<StatementCost>(
        /* sql */ `
        select query as statement, calls::int, total_exec_time / 1000 as seconds, rows::int, wal_bytes / 1e6::float8 as "walMb"
          from pg_stat_statements where query not like '%bench_activity%' order by total_exec_time desc limit $1`,
        [limit],
      )
      return rows.map((row) => ({ ...row, statement: label(row.statement) }))
    } catch {
      return undefined
    }
  }

  /** Resets the costs. */
  async resetCosts(): Promise<void> {
    await this.#client.query('select pg_stat_statements_reset()').catch(() => {})
  }

  /** Samples the active statements until `stop`. */
  sampleStatements(): void {
    this.#timer = setInterval(() => void this.#sample(true), sampleMs)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    clearInterval(this.#naming)
    await this.#client.end()
  }

  /** Returns the application of a backend, or the type of another database process. */
  nameOf(pid: number): string | undefined {
    return this.#applications.get(pid)
  }

  /** Runs a query of the bench and returns its first row. */
  async one<T>(sql: string, params: unknown[] = []): Promise<T> {
    return (await this.#client.query(sql, params)).rows[0] as T
  }

  /** Returns the statements by their share of samples, largest first. */
  statements(): StatementShare[] {
    const all = [...this.#samples.values()].reduce((sum, sample) => sum + sample.total, 0)
    return [...this.#samples]
      .sort(([, a], [, b]) => b.total - a.total)
      .map(([statement, { total, waits }]) => ({
        statement,
        share: total / all,
        samples: total,
        waits: [...waits]
          .sort(([, a], [, b]) => b - a)
          .slice(0, 4)
          .map(([wait, count]) => `${wait} ${Math.round((count / total) * 100)} %`)
          .join(', '),
      }))
  }

  async #sample(countStatements = false): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    try {
      const { rows } = await this.#client.query<Activity>({
        name: 'bench_activity',
        text: /* sql */ `/* bench_activity */
        select pid, coalesce(nullif(application_name, ''), backend_type) as application, left(query, 200) as query,
               state, wait_event_type || ':' || wait_event as wait
          from pg_stat_activity`,
      })
      for (const row of rows) {
        this.#applications.set(row.pid, row.application)
        if (countStatements && row.state === 'active' && row.application !== 'bench') this.#count(row)
      }
    } catch {
      // the database is stopping or down; the next sample retries
    } finally {
      this.#busy = false
    }
  }

  #count({ application, query, wait }: Activity): void {
    const statement = `${application.replace('carillon ', '')}: ${label(query)}`
    const sample = this.#samples.get(statement) ?? { total: 0, waits: new Map<string, number>() }
    this.#samples.set(statement, sample)
    sample.total++
    const event = wait ?? 'on CPU'
    sample.waits.set(event, (sample.waits.get(event) ?? 0) + 1)
  }
}

/** Returns the name in a statement's leading comment, or the beginning of the statement. */
function label(query: string): string {
  const name = /^\/\* (\S+) \*\//.exec(query)?.[1]
  return (name ?? query.replaceAll(/\s+/g, ' ').trim().slice(0, 60)).replaceAll(/_?\d{4}-\d\d-\d\d/g, '')
}
