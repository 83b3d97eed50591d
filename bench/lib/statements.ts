import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

// Watches the database from a connection of its own: who its processes are, and, for a profile, what they are at.

const sampleMs = 20

/** A statement's share of all samples in which somebody was at work, and what it was waiting for then. */
export type StatementShare = { statement: string; share: number; samples: number; waits: string }

type Activity = { pid: number; application: string; query: string; state: string; wait: string | null }

/** What a statement cost since counting began, by the server's own count. */
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
    await this.#look()
    this.#naming = setInterval(() => void this.#look(), 500)
  }

  /**
   * Makes the server count what statements cost, where its package has the module for that. It takes a restart, which
   * the supervisor sees to.
   */
  static async countStatements(databaseUrl: string): Promise<void> {
    const ask = async <T>(sql: string) => {
      const client = new pg.Client({ connectionString: databaseUrl, application_name: 'bench' })
      client.on('error', () => {})
      await client.connect()
      try {
        return (await client.query(sql)).rows[0] as T
      } finally {
        await client.end()
      }
    }
    if (!(await ask(`select from pg_available_extensions where name = 'pg_stat_statements'`))) return
    await ask(`alter system set shared_preload_libraries = 'pg_stat_statements'`)
    const { pid } = await ask<{ pid: number }>(
      `select split_part(pg_read_file('postmaster.pid'), e'\\n', 1)::int as pid`,
    )
    process.kill(pid, 'SIGINT')
    const restarted = () =>
      ask<{ on: boolean }>(`select current_setting('shared_preload_libraries') <> '' as on`).then(
        ({ on }) => on,
        () => false,
      )
    for (let tries = 0; !(await restarted()); tries++) {
      if (tries === 100) throw new Error('the database did not come back')
      await sleep(100)
    }
    await ask('create extension pg_stat_statements')
  }

  /** Statements by the time they took, the dearest first; undefined where the server does not count. */
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

  /** Counts from here on. */
  async resetCosts(): Promise<void> {
    await this.#client.query('select pg_stat_statements_reset()').catch(() => {})
  }

  /** Samples what runs until `stop`. */
  sampleStatements(): void {
    this.#timer = setInterval(() => void this.#look(true), sampleMs)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    clearInterval(this.#naming)
    await this.#client.end()
  }

  /** What the database process is there for: the application it serves, or its own duty. */
  nameOf(pid: number): string | undefined {
    return this.#applications.get(pid)
  }

  /** One row of a statement of the bench's own. */
  async one<T>(sql: string, params: unknown[] = []): Promise<T> {
    return (await this.#client.query(sql, params)).rows[0] as T
  }

  /** Statements by their share, the greatest first. */
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

  async #look(keep = false): Promise<void> {
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
        if (keep && row.state === 'active' && row.application !== 'bench') this.#keep(row)
      }
    } catch {
      // the database is going or gone: the next look will tell
    } finally {
      this.#busy = false
    }
  }

  #keep({ application, query, wait }: Activity): void {
    const statement = `${application.replace('carillon ', '')}: ${label(query)}`
    const sample = this.#samples.get(statement) ?? { total: 0, waits: new Map<string, number>() }
    this.#samples.set(statement, sample)
    sample.total++
    const waiting = wait ?? 'on CPU'
    sample.waits.set(waiting, (sample.waits.get(waiting) ?? 0) + 1)
  }
}

/** The name that a statement carries in a comment, or its beginning. */
function label(query: string): string {
  const name = /^\/\* (\S+) \*\//.exec(query)?.[1]
  return (name ?? query.replaceAll(/\s+/g, ' ').trim().slice(0, 60)).replaceAll(/_?\d{4}-\d\d-\d\d/g, '')
}
