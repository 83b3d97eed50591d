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
 * What a backup says of itself. The whole file is read and its checksum with it: a damaged one is refused before
 * anything is done, and so is one that a newer version wrote.
 */
async function inspect(file: string): Promise<BackupHeader> {
  let header: BackupHeader | undefined
  let last: Frame | undefined
  for await (const frame of open(file)) {
    if (header === undefined) header = frame.kind === 'H' ? readJson<BackupHeader>(frame) : undefined
    if (header?.product !== 'carillon') throw new BackupError('it is not a backup of Carillon')
    if (header.format !== 1) throw new OperatorError(`${file} has a form that this version of Carillon does not know.`)
    last = frame
  }
  if (header === undefined || last?.kind !== 'Z') throw new BackupError('it ends too early')
  await refuseUnknownMigrations(file, header)
  return header
}

/**
 * Fills an empty database from a backup: all rows in one transaction, which also says that nothing is to be sent. What
 * the backup is older than this version is migrated afterwards. `before` is told about the backup when nothing stands
 * in its way any more.
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
    throw refusalOf(file, error)
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
    const holds = await inspectDatabase(client)
    if (holds === 'data') {
      throw new OperatorError('The database holds data already. A backup is restored into an empty one only.')
    }
    await before(header)
    // a restore or a first start that got no further
    if (holds === 'beginnings') {
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

async function refuseUnknownMigrations(file: string, header: BackupHeader) {
  const known = new Map((await listMigrations()).map(({ name, hash }) => [name, hash]))
  const strange = header.migrations.find(({ name, hash }) => known.get(name) !== hash)
  if (strange) {
    throw new OperatorError(`${file} is of another version of Carillon (${strange.name}); restore it with that one.`)
  }
}

/** Tables come in any order, so references are off until all rows are there, and then checked as a whole. */
async function load(client: pg.Client, file: string): Promise<Summary> {
  const references = await dropReferences(client)
  const found = { tables: 0, rows: 0 }
  let table: TableFrame | undefined
  let stream: CopyStreamQuery | undefined
  let isWhole = false
  const late: string[] = []
  for await (const frame of open(file)) {
    if (frame.kind === 'T') {
      table = readJson<TableFrame>(frame)
      late.push(...(await makeRoom(client, table)))
      stream = client.query(copyFrom(`copy ${quoted(table.name)} (${table.columns.map(quoted).join(', ')}) from stdin`))
      stream.on('error', () => {}) // told by the write or the end that follows
    } else if (frame.kind === 'D' && stream) {
      if (stream.errored) throw stream.errored
      if (!stream.write(frame.content)) await once(stream, 'drain')
    } else if (frame.kind === 'E' && stream && table) {
      stream.end()
      await finished(stream)
      const { rows } = readJson<{ rows: number }>(frame)
      if (stream.rowCount !== rows) throw new BackupError(`of ${rows} rows of ${table.name} ${stream.rowCount} came`)
      found.tables += 1
      found.rows += rows
      stream = undefined
    } else if (frame.kind === 'S') {
      await setSequences(client, readJson<SequenceFrame[]>(frame))
    } else if (frame.kind === 'J') {
      for (const { name, data } of readJson<JobFrame[]>(frame)) await enqueue(clientDb(client), name, data)
    } else if (frame.kind === 'Z') {
      isWhole = isSame(found, frame)
    }
  }
  if (!isWhole) throw new BackupError('it ends too early')
  for (const statement of [...late, ...references]) await client.query(statement)
  return found
}

async function pause(tx: Db, mode: Mode) {
  await ensureMode(tx, mode)
  await setSendingPaused(tx, true)
}

function isSame(found: Summary, frame: Frame): boolean {
  const told = readJson<Summary>(frame)
  return told.tables === found.tables && told.rows === found.rows
}

/** Takes the references away and answers the statements that bring them back. */
async function dropReferences(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ drop: string; add: string }>(/* sql */ `
    select format('alter table %s drop constraint %I', conrelid::regclass, conname) as drop,
           format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as add
      from pg_constraint
     where contype = 'f' and connamespace = 'public'::regnamespace and conparentid = 0`)
  for (const row of rows) await client.query(row.drop)
  return rows.map((row) => row.add)
}

/** Makes the table, if migrating has not, empties it of what migrating put in, and answers what is to be done at the end. */
async function makeRoom(client: pg.Client, { name, definition }: TableFrame): Promise<string[]> {
  const day = dayOfPartition(name)
  if (day) await client.query('select ensure_log_day($1)', [day])
  const [create, ...indexes] = definition ?? []
  if (create) await client.query(create)
  // what fires on a row has fired when it was written first
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

/** Puts into words what is the file's fault. */
function refusalOf(file: string, error: unknown): unknown {
  const { code = '', message } = error as NodeJS.ErrnoException
  if (error instanceof BackupError) return new OperatorError(`${file} cannot be restored: ${message}.`)
  if (code.startsWith('Z_') || error instanceof SyntaxError)
    return new OperatorError(`${file} is damaged, or no backup.`)
  if (code === 'ENOENT') return new OperatorError(`${file} is not there.`)
  return error
}
