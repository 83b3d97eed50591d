import { randomBytes } from 'node:crypto'
import { createWriteStream, existsSync, linkSync, renameSync, rmSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import type { Secret } from '../../config/secret.ts'
import { OperatorError } from '../../errors.ts'
import { preventRemoval } from '../../log/remove-day.queries.ts'
import { encodeBackup } from './backup-file.ts'
import { listOpenJobs, listSequences, listTables, quoted, readInstallation } from './catalog.ts'
import { type BackupHeader, makeFrame, maxLengths, type Summary, type TableFrame } from './frames.ts'
import { jobsOfRequests } from './jobs.ts'

const maxAttempts = 3
// rows per frame: gzip needs some, and a reader holds one frame in memory
const frameLength = 256 << 10
const jobsPerFrame = 1_000
const undefinedTable = '42P01'

/**
 * Writes a snapshot of the whole database to one file, while the installation may run, and signs it with the secret key. The
 * file gets its name when it is complete; an incomplete backup leaves no file. Throws OperatorError if the file exists.
 */
export async function writeBackup(databaseUrl: string, file: string, secretKey: Secret): Promise<Summary> {
  if (existsSync(file)) throw alreadyExists(file)
  const draft = `${file}.${randomBytes(4).toString('hex')}.partial`
  try {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const summary = await writeOnce(databaseUrl, draft, secretKey)
        publish(draft, file)
        return summary
      } catch (error) {
        // an import ended, and its staging table was dropped before it was copied
        const wasDropped = error instanceof pg.DatabaseError && error.code === undefinedTable
        if (!wasDropped || attempt === maxAttempts) throw error
        rmSync(draft, { force: true })
      }
    }
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Gives a complete backup its name, which a concurrent backup may have taken. */
function publish(draft: string, file: string) {
  try {
    linkSync(draft, file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' || existsSync(file)) throw alreadyExists(file)
    renameSync(draft, file) // a file system without hard links
  }
}

function alreadyExists(file: string): OperatorError {
  return new OperatorError(`${file} already exists; a backup does not overwrite a file.`)
}

async function writeOnce(databaseUrl: string, draft: string, secretKey: Secret): Promise<Summary> {
  const snapshotOwner = await connect(databaseUrl)
  try {
    // a day of the log that was removed meanwhile would be in the snapshot, but no longer have a table
    await snapshotOwner.query(preventRemoval)
    // this connection only exports the snapshot and locks no table for long, so no other session waits for it
    await snapshotOwner.query('begin isolation level repeatable read read only')
    const { rows } = await snapshotOwner.query<{ snapshot: string }>('select pg_export_snapshot() as snapshot')
    const summary = { tables: 0, rows: 0 }
    const frames = makeFrames(snapshotOwner, databaseUrl, rows[0]?.snapshot ?? '', summary)
    // `wx`: never through a file or link that somebody else has put there
    const output = createWriteStream(draft, { mode: 0o600, flags: 'wx', flush: true })
    await pipeline(Readable.from(encodeBackup(frames, secretKey), { objectMode: false }), output)
    return summary
  } finally {
    await snapshotOwner.end()
  }
}

async function* makeFrames(snapshotOwner: pg.Client, databaseUrl: string, snapshot: string, summary: Summary) {
  const installation = await readInstallation(snapshotOwner)
  const createdAt = new Date().toISOString()
  yield makeFrame('H', { product: 'carillon', createdAt, ...installation } satisfies BackupHeader)
  const reader = await connect(databaseUrl)
  try {
    for (const table of await listTables(snapshotOwner)) {
      yield makeFrame('T', table)
      const rows = yield* copyOut(reader, snapshot, table)
      yield makeFrame('E', { rows })
      summary.tables += 1
      summary.rows += rows
    }
  } finally {
    await reader.end()
  }
  // sequences ignore snapshots: because they are read last, their values are at least the ids in the rows above
  yield makeFrame('S', await listSequences(snapshotOwner))
  const jobs = await listOpenJobs(snapshotOwner, jobsOfRequests)
  for (let i = 0; i < jobs.length; i += jobsPerFrame) yield makeFrame('J', jobs.slice(i, i + jobsPerFrame))
  yield makeFrame('Z', summary)
}

/** Copies one table in its own transaction, so that its lock is released immediately afterwards. */
async function* copyOut(reader: pg.Client, snapshot: string, table: TableFrame) {
  await reader.query('begin isolation level repeatable read read only')
  await reader.query(`set transaction snapshot '${snapshot}'`)
  const rows = reader.query(
    copyTo(`copy (select ${table.columns.map(quoted).join(', ')} from only ${quoted(table.name)}) to stdout`),
  )
  let waiting: Buffer[] = []
  let length = 0
  for await (const bytes of rows as AsyncIterable<Buffer>) {
    waiting.push(bytes)
    length += bytes.length
    if (length < frameLength) continue
    yield* makeDataFrames(Buffer.concat(waiting))
    waiting = []
    length = 0
  }
  yield* makeDataFrames(Buffer.concat(waiting))
  await reader.query('commit')
  return rows.rowCount
}

/** Divides rows into frames. A frame may end inside a row. */
function* makeDataFrames(rows: Buffer) {
  for (let i = 0; i < rows.length; i += maxLengths.D) yield makeFrame('D', rows.subarray(i, i + maxLengths.D))
}

async function connect(databaseUrl: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'carillon backup' })
  await client.connect()
  // the text of a value does not depend on settings of the role
  await client.query(
    `set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set bytea_output = 'hex'`,
  )
  await client.query(`set statement_timeout = 0; set idle_in_transaction_session_timeout = 0`)
  return client
}
