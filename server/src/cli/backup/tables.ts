import type pg from 'pg'
import { clientDb } from '../../db/db.ts'
import { createRowsTable } from '../../imports/staging.queries.ts'
import { ensureLogDay } from '../../log/log-days.queries.ts'
import { dayOfPartition, importOfStagingTable, listTables } from './catalog.ts'
import { BackupError, type TableFrame } from './frames.ts'

// enough for a hundred years of days, each with two tables
const maxTables = 80_000

/**
 * The tables of a database that a restore has just migrated. A backup names them, but only this catalog decides which
 * exist, and only our own code creates the others: partitions by day and staging tables of imports.
 */
export class KnownTables {
  readonly #client: pg.Client
  readonly #columns: Map<string, ReadonlySet<string>>
  readonly #restored = new Set<string>()

  private constructor(client: pg.Client, tables: TableFrame[]) {
    this.#client = client
    this.#columns = new Map(tables.map(({ name, columns }) => [name, new Set(columns)]))
  }

  static async read(client: pg.Client): Promise<KnownTables> {
    return new KnownTables(client, await listTables(client))
  }

  /**
   * Checks that the table and exactly its columns exist, and creates a table that no migration creates. Throws BackupError
   * for any other name, and for a second frame of the same table.
   */
  async prepare({ name, columns }: TableFrame): Promise<void> {
    if (this.#restored.has(name)) throw new BackupError(`it has the table ${shown(name)} twice`)
    if (this.#restored.size === maxTables) throw new BackupError(`it has more than ${maxTables} tables`)
    const importId = importOfStagingTable(name)
    if (!this.#columns.has(name)) await this.#create(name, importId)
    this.#restored.add(name)
    const known = this.#columns.get(name) ?? new Set()
    const unknown = columns.find((column) => !known.has(column))
    if (unknown !== undefined) throw new BackupError(`${shown(name)} has no column ${shown(unknown)}`)
    if (new Set(columns).size !== columns.length) throw new BackupError(`${shown(name)} has a column twice`)
    const missing = [...known].find((column) => !columns.includes(column))
    // a staging table is not created by a migration, so an older one may have fewer columns
    if (missing !== undefined && importId === undefined)
      throw new BackupError(`the column ${missing} of ${name} is missing`)
  }

  /** Throws BackupError if a table has not been restored, because it would silently stay empty. */
  assertComplete(): void {
    const missing = [...this.#columns.keys()].find((name) => !this.#restored.has(name))
    if (missing !== undefined) throw new BackupError(`the table ${missing} is missing`)
  }

  async #create(name: string, importId: number | undefined): Promise<void> {
    const day = dayOfPartition(name)
    if (day !== undefined) await ensureLogDay(clientDb(this.#client), day)
    else if (importId !== undefined) await createRowsTable(clientDb(this.#client), importId)
    else throw new BackupError(`there is no table ${shown(name)}`)
    const created =
      day === undefined ? [name] : ['message_log_', 'submits_'].map((log) => log + day.replaceAll('-', ''))
    for (const table of await listTables(this.#client, created)) this.#columns.set(table.name, new Set(table.columns))
    if (!this.#columns.has(name)) throw new BackupError(`there is no table ${shown(name)}`)
  }
}

/** Returns a name from a file for a message: its first characters, without control characters. */
function shown(name: string): string {
  return JSON.stringify(name.slice(0, 60))
}
