import pg from 'pg'

// Watches the database from a connection of its own: who its processes are, and, for a profile, what they are at.

const sampleMs = 20

/** A statement's share of all samples in which somebody was at work, and what it was waiting for then. */
export type StatementShare = { statement: string; share: number; samples: number; waits: string }

type Activity = { pid: number; application: string; query: string; state: string; wait: string | null }

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
        text: /* sql */ `
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
  const name = /^\s*\/\* (\w+) \*\//.exec(query)?.[1]
  return (name ?? query.replaceAll(/\s+/g, ' ').trim().slice(0, 60)).replaceAll(/_?\d{4}-\d\d-\d\d/g, '')
}
