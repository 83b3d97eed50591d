import { finished } from 'node:stream/promises'
import pg from 'pg'
import { type CopyStreamQuery, from as copyFrom } from 'pg-copy-streams'
import { clientDb } from '../../db/db.ts'
import { indexRows } from '../../imports/staging.queries.ts'
import { enqueue } from '../../jobs/jobs.ts'
import { importOfStagingTable, listSequences, quoted } from './catalog.ts'
import { readHeader, readJobs, readRowCount, readSequences, readSummary, readTable } from './contents.ts'
import {
  BackupError,
  type BackupHeader,
  type Frame,
  type JobFrame,
  type SequenceFrame,
  type Summary,
  type TableFrame,
} from './frames.ts'
import { jobsOfRequests } from './jobs.ts'
import { KnownTables } from './tables.ts'

/** The longest row that is read: PostgreSQL collects a whole row in memory before it rejects it. */
const maxRowLength = 1 << 26
const newline = 0x0a

/**
 * Copies all rows of a backup into a database that has been migrated to its version, sets the sequences and enqueues the jobs.
 * Each table is a transaction of its own, so the caller must mark the database as unfinished. Names are only used if the
 * database has them, and rows only as data of COPY. Throws BackupError, or the error of PostgreSQL.
 */
export async function loadFrames(
  client: pg.Client,
  frames: AsyncIterable<Frame>,
  expected: BackupHeader,
): Promise<Summary> {
  const references = await dropReferences(client)
  const tables = await KnownTables.read(client)
  const found = { tables: 0, rows: 0 }
  let header: BackupHeader | undefined
  let open: TableCopy | undefined
  let hasSequences = false
  try {
    for await (const frame of frames) {
      const { kind } = frame
      if (header === undefined) {
        header = readHeader(frame)
        // the same bytes as when the file was checked
        if (JSON.stringify(header) !== JSON.stringify(expected)) throw new BackupError('it changed while it was read')
      } else if (open) {
        if (kind === 'D') await open.write(frame.content)
        else if (kind === 'E') {
          found.rows += await open.end(readRowCount(frame))
          found.tables += 1
          open = undefined
        } else throw outOfPlace(kind)
      } else if (kind === 'T' && !hasSequences) {
        const table = readTable(frame)
        await tables.prepare(table)
        open = await TableCopy.start(client, table)
      } else if (kind === 'S' && !hasSequences) {
        await setSequences(client, readSequences(frame))
        hasSequences = true
      } else if (kind === 'J' && hasSequences) {
        await enqueueAll(client, readJobs(frame))
      } else if (kind === 'Z' && hasSequences) {
        const { tables: count, rows } = readSummary(frame)
        if (count !== found.tables || rows !== found.rows) throw new BackupError('tables or rows are missing')
      } else throw outOfPlace(kind)
    }
  } catch (error) {
    open?.abort()
    throw error
  }
  tables.assertComplete()
  for (const reference of references) await client.query(reference)
  return found
}

function outOfPlace(kind: string): BackupError {
  return new BackupError(`its frame ${kind} is in the wrong place`)
}

/** The rows of one table on their way into the database. */
class TableCopy {
  readonly #client: pg.Client
  readonly #name: string
  readonly #stream: CopyStreamQuery
  #failure: Error | undefined
  #rejectWrite: ((error: Error) => void) | undefined
  #rowLength = 0

  private constructor(client: pg.Client, { name, columns }: TableFrame) {
    this.#client = client
    this.#name = name
    this.#stream = client.query(copyFrom(`copy ${quoted(name)} (${columns.map(quoted).join(', ')}) from stdin`))
    this.#stream.on('error', (error) => {
      this.#failure = error
      this.#rejectWrite?.(error)
    })
  }

  /** Empties a table that exists, and begins to copy into it. */
  static async start(client: pg.Client, table: TableFrame): Promise<TableCopy> {
    await client.query('begin')
    // the triggers fired when the rows were first written
    await client.query(`alter table ${quoted(table.name)} disable trigger user`)
    await client.query(`delete from ${quoted(table.name)}`)
    return new TableCopy(client, table)
  }

  /** Writes some rows, or parts of rows; waits while PostgreSQL is slower than the file. */
  async write(content: Buffer): Promise<void> {
    const lastEnd = content.lastIndexOf(newline)
    const firstEnd = lastEnd < 0 ? content.length : content.indexOf(newline)
    if (this.#rowLength + firstEnd > maxRowLength)
      throw new BackupError(`a row of ${this.#name} is longer than ${maxRowLength} bytes`)
    this.#rowLength = lastEnd < 0 ? this.#rowLength + content.length : content.length - lastEnd - 1
    if (this.#failure) throw this.#failure
    await new Promise<void>((resolve, reject) => {
      this.#rejectWrite = reject
      this.#stream.write(content, () => resolve())
    })
  }

  /** Ends the copy as failed, so that the connection can be used again. */
  abort(): void {
    if (!this.#failure) this.#stream.destroy()
  }

  /** Ends the copy and commits; throws BackupError if the database has received another number of rows. */
  async end(rows: number): Promise<number> {
    if (this.#failure) throw this.#failure
    this.#stream.end()
    await finished(this.#stream)
    const received = this.#stream.rowCount
    if (received !== rows) throw new BackupError(`${this.#name} has ${received} rows instead of ${rows}`)
    await this.#client.query(`alter table ${quoted(this.#name)} enable trigger user`)
    const importId = importOfStagingTable(this.#name)
    if (importId !== undefined) await indexRows(clientDb(this.#client), importId)
    await this.#client.query('commit')
    return rows
  }
}

/** Drops the foreign keys, because tables are in any order, and returns the statements that recreate and check them. */
async function dropReferences(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ drop: string; add: string }>(/* sql */ `
    select format('alter table %s drop constraint %I', conrelid::regclass, conname) as drop,
           format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as add
      from pg_constraint
     where contype = 'f' and connamespace = 'public'::regnamespace and conparentid = 0`)
  for (const row of rows) await client.query(row.drop)
  return rows.map((row) => row.add)
}

/** Sets exactly the sequences that the database has; throws BackupError for others. */
async function setSequences(client: pg.Client, sequences: SequenceFrame[]): Promise<void> {
  const known = (await listSequences(client)).map(({ name }) => name)
  const given = sequences.map(({ name }) => name)
  if (given.length !== known.length || known.some((name) => !given.includes(name)))
    throw new BackupError('its sequences are not those of its tables')
  for (const { name, lastValue, isCalled } of sequences) {
    await client.query('select setval($1::regclass, $2::bigint, $3)', [quoted(name), lastValue, isCalled])
  }
}

async function enqueueAll(client: pg.Client, jobs: JobFrame[]): Promise<void> {
  for (const { name, data } of jobs) {
    if (!jobsOfRequests.includes(name)) throw new BackupError(`there is no job ${JSON.stringify(name.slice(0, 60))}`)
    await enqueue(clientDb(client), name, data)
  }
}

/** Returns whether PostgreSQL rejected the content of the backup: a value, a constraint, or a limit. */
export function isRejectedContent(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && /^(?:22|23|54)/.test(error.code ?? '')
}
