import { createWriteStream, existsSync, renameSync, rmSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import { listMigrations } from '../../db/migrate.ts'
import { OperatorError } from '../../errors.ts'
import { listOpenJobs, listSequences, listTables, quoted, readInstallation } from './catalog.ts'
import { type BackupHeader, encodeFrame, type TableFrame } from './frames.ts'

export type Summary = { tables: number; rows: number }

const maxAttempts = 3
const undefinedTable = '42P01'

/**
 * Writes a snapshot of the whole database to one file, while the installation may run. An incomplete backup leaves no
 * file. Throws OperatorError if the file already exists.
 */
export async function writeBackup(databaseUrl: string, file: string): Promise<Summary> {
  if (existsSync(file)) throw new OperatorError(`${file} already exists; a backup does not overwrite a file.`)
  const draft = `${file}.partial`
  try {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const summary = await writeOnce(databaseUrl, draft)
        renameSync(draft, file)
        return summary
      } catch (error) {
        // an import ended, and its staging table was dropped before it was copied
        const wasDropped = error instanceof pg.DatabaseError && error.code === undefinedTable
        if (!wasDropped || attempt === maxAttempts) throw error
      }
    }
  } finally {
    rmSync(draft, { force: true })
  }
}

async function writeOnce(databaseUrl: string, draft: string): Promise<Summary> {
  const snapshotOwner = await connect(databaseUrl)
  try {
    // this connection only exports the snapshot and locks no table for long, so no other session waits for it
    await snapshotOwner.query('begin isolation level repeatable read read only')
    const { rows } = await snapshotOwner.query<{ snapshot: string }>('select pg_export_snapshot() as snapshot')
    const summary = { tables: 0, rows: 0 }
    const frames = makeFrames(snapshotOwner, databaseUrl, rows[0]?.snapshot ?? '', summary)
    const output = createWriteStream(draft, { mode: 0o600, flush: true })
    await pipeline(Readable.from(frames, { objectMode: false }), createGzip({ level: 4 }), output)
    return summary
  } finally {
    await snapshotOwner.end()
  }
}

async function* makeFrames(snapshotOwner: pg.Client, databaseUrl: string, snapshot: string, summary: Summary) {
  const installation = await readInstallation(snapshotOwner)
  const createdAt = new Date().toISOString()
  yield encodeFrame('H', { product: 'carillon', format: 1, createdAt, ...installation } satisfies BackupHeader)
  const reader = await connect(databaseUrl)
  try {
    for (const table of await listTables(snapshotOwner, await tablesOfMigrations())) {
      yield encodeFrame('T', table)
      const rows = yield* copyOut(reader, snapshot, table)
      yield encodeFrame('E', { rows })
      summary.tables += 1
      summary.rows += rows
    }
  } finally {
    await reader.end()
  }
  // sequences ignore snapshots: because they are read last, their values are at least the ids in the rows above
  yield encodeFrame('S', await listSequences(snapshotOwner))
  yield encodeFrame('J', await listOpenJobs(snapshotOwner))
  yield encodeFrame('Z', summary)
}

/** Copies one table in its own transaction, so that its lock is released immediately afterwards. */
async function* copyOut(reader: pg.Client, snapshot: string, table: TableFrame) {
  await reader.query('begin isolation level repeatable read read only')
  await reader.query(`set transaction snapshot '${snapshot}'`)
  const rows = reader.query(
    copyTo(`copy (select ${table.columns.map(quoted).join(', ')} from only ${quoted(table.name)}) to stdout`),
  )
  for await (const bytes of rows as AsyncIterable<Buffer>) yield encodeFrame('D', bytes)
  await reader.query('commit')
  return rows.rowCount
}

/** Returns the tables that migrations create; the backup contains the definition of every other table. */
async function tablesOfMigrations(): Promise<Set<string>> {
  const names = (await listMigrations()).flatMap(({ sql }) =>
    [...sql.matchAll(/^create table (\w+)/gim)].map((match) => match[1] ?? ''),
  )
  return new Set(names)
}

async function connect(databaseUrl: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'carillon backup' })
  await client.connect()
  await client.query(`set timezone = 'UTC'; set statement_timeout = 0; set idle_in_transaction_session_timeout = 0`)
  return client
}
