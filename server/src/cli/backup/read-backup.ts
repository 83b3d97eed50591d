import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import pg from 'pg'
import { type CopyStreamQuery, from as copyFrom } from 'pg-copy-streams'
import { clientDb, type Db } from '../../db/db.ts'
import { listMigrations, migrate } from '../../db/migrate.ts'
import { OperatorError } from '../../errors.ts'
import { installJobs } from '../../jobs/boss.ts'
import { enqueue } from '../../jobs/jobs.ts'
import { ensureMode, type Mode, setSendingPaused } from '../../system/installation.queries.ts'
import { dayOfPartition, inspectDatabase, quoted } from './catalog.ts'
import {
  BackupError,
  type BackupHeader,
  type Frame,
  type JobFrame,
  readFrames,
  readJson,
  type SequenceFrame,
  type TableFrame,
} from './frames.ts'
import type { Summary } from './write-backup.ts'

/**
 * Reads the whole file and its checksum and returns the header, so that a damaged backup, or one of a newer version, is
 * rejected before anything is written.
 */
async function inspect(file: string): Promise<BackupHeader> {
  let header: BackupHeader | undefined
  let last: Frame | undefined
  for await (const frame of open(file)) {
    if (header === undefined) header = frame.kind === 'H' ? readJson<BackupHeader>(frame) : undefined
    if (header?.product !== 'carillon') throw new BackupError('it is not a backup of Carillon')
    if (header.format !== 1)
      throw new OperatorError(`${file} has backup format ${header.format}, which this version of Carillon cannot read.`)
    last = frame
  }
  if (header === undefined || last?.kind !== 'Z') throw new BackupError('it ends too early')
  await rejectUnknownMigrations(file, header)
  return header
}

/**
 * Restores a backup into an empty database: writes all rows and pauses sending in one transaction, then applies the
 * migrations that are newer than the backup. Calls `before` with the header after it has checked the backup and the
 * database. Throws OperatorError if the database has data or the backup is not valid.
 */
export async function readBackup(
  databaseUrl: string,
  file: string,
  before: (header: BackupHeader) => Promise<void> = async () => {},
): Promise<Summary & { header: BackupHeader }> {
  try {
    const header = await inspect(file)
    return { ...(await fill(databaseUrl, file, header, before)), header }
  } catch (error) {
    throw toOperatorError(file, error)
  }
}

async function fill(
  databaseUrl: string,
  file: string,
  header: BackupHeader,
  before: (header: BackupHeader) => Promise<void>,
) {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'carillon restore' })
  await client.connect()
  try {
    const content = await inspectDatabase(client)
    if (content === 'data') {
      throw new OperatorError('The database already has data. Restore a backup into an empty database.')
    }
    await before(header)
    // tables of an interrupted restore or first start
    if (content === 'partial') {
      await client.query('drop schema public cascade; create schema public; drop schema if exists pgboss cascade')
    }
    await migrate(databaseUrl, new Set(header.migrations.map(({ name }) => name)))
    await installJobs(databaseUrl)
    await client.query('begin')
    const summary = await load(client, file)
    await pause(clientDb(client), header.mode)
    await client.query('commit')
    await migrate(databaseUrl)
    await client.query('analyze')
    return summary
  } finally {
    await client.end()
  }
}

async function rejectUnknownMigrations(file: string, header: BackupHeader) {
  const known = new Map((await listMigrations()).map(({ name, hash }) => [name, hash]))
  const unknown = header.migrations.find(({ name, hash }) => known.get(name) !== hash)
  if (unknown) {
    throw new OperatorError(
      `${file} was written by another version of Carillon (${unknown.name}); restore it with that version.`,
    )
  }
}

/** Loads all rows. Tables are in any order, so foreign keys are dropped first, and recreated and checked at the end. */
async function load(client: pg.Client, file: string): Promise<Summary> {
  const references = await dropReferences(client)
  const found = { tables: 0, rows: 0 }
  let table: TableFrame | undefined
  let stream: CopyStreamQuery | undefined
  let isComplete = false
  const finalStatements: string[] = []
  for await (const frame of open(file)) {
    if (frame.kind === 'T') {
      table = readJson<TableFrame>(frame)
      finalStatements.push(...(await prepareTable(client, table)))
      stream = client.query(copyFrom(`copy ${quoted(table.name)} (${table.columns.map(quoted).join(', ')}) from stdin`))
      stream.on('error', () => {}) // the next write or the end of the table reports the error
    } else if (frame.kind === 'D' && stream) {
      if (stream.errored) throw stream.errored
      if (!stream.write(frame.content)) await once(stream, 'drain')
    } else if (frame.kind === 'E' && stream && table) {
      stream.end()
      await finished(stream)
      const { rows } = readJson<{ rows: number }>(frame)
      if (stream.rowCount !== rows)
        throw new BackupError(`${table.name} has ${stream.rowCount} rows instead of ${rows}`)
      found.tables += 1
      found.rows += rows
      stream = undefined
    } else if (frame.kind === 'S') {
      await setSequences(client, readJson<SequenceFrame[]>(frame))
    } else if (frame.kind === 'J') {
      for (const { name, data } of readJson<JobFrame[]>(frame)) await enqueue(clientDb(client), name, data)
    } else if (frame.kind === 'Z') {
      isComplete = isSame(found, frame)
    }
  }
  if (!isComplete) throw new BackupError('it ends too early')
  for (const statement of [...finalStatements, ...references]) await client.query(statement)
  return found
}

async function pause(tx: Db, mode: Mode) {
  await ensureMode(tx, mode)
  await setSendingPaused(tx, true)
}

function isSame(found: Summary, frame: Frame): boolean {
  const expected = readJson<Summary>(frame)
  return expected.tables === found.tables && expected.rows === found.rows
}

/** Drops the foreign keys and returns the statements that recreate them. */
async function dropReferences(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ drop: string; add: string }>(/* sql */ `
    select format('alter table %s drop constraint %I', conrelid::regclass, conname) as drop,
           format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as add
      from pg_constraint
     where contype = 'f' and connamespace = 'public'::regnamespace and conparentid = 0`)
  for (const row of rows) await client.query(row.drop)
  return rows.map((row) => row.add)
}

/** Creates the table if no migration has, empties it and disables its triggers; returns the statements to run at the end. */
async function prepareTable(client: pg.Client, { name, definition }: TableFrame): Promise<string[]> {
  const day = dayOfPartition(name)
  if (day) await client.query('select ensure_log_day($1)', [day])
  const [create, ...indexes] = definition ?? []
  if (create) await client.query(create)
  // the triggers fired when the rows were first written
  await client.query(`alter table ${quoted(name)} disable trigger user`)
  await client.query(`delete from ${quoted(name)}`)
  return [...indexes, `alter table ${quoted(name)} enable trigger user`]
}

async function setSequences(client: pg.Client, sequences: SequenceFrame[]) {
  for (const { name, lastValue, isCalled } of sequences) {
    await client.query('select setval($1::regclass, $2::bigint, $3)', [quoted(name), lastValue, isCalled])
  }
}

async function* open(file: string): AsyncGenerator<Frame> {
  const bytes = createReadStream(file)
  const frames = createGunzip()
  bytes.on('error', (error) => frames.destroy(error))
  bytes.pipe(frames)
  try {
    yield* readFrames(frames)
  } finally {
    bytes.destroy()
    frames.destroy()
  }
}

/** Returns an OperatorError for an error of the file; other errors unchanged. */
function toOperatorError(file: string, error: unknown): unknown {
  const { code = '', message } = error as NodeJS.ErrnoException
  if (error instanceof BackupError) return new OperatorError(`${file} cannot be restored: ${message}.`)
  if (code.startsWith('Z_') || error instanceof SyntaxError)
    return new OperatorError(`${file} is damaged or not a backup.`)
  if (code === 'ENOENT') return new OperatorError(`${file} does not exist.`)
  return error
}
