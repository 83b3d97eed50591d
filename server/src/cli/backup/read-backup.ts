import pg from 'pg'
import type { Secret } from '../../config/secret.ts'
import { clientDb } from '../../db/db.ts'
import { listMigrations, migrate, migrationLock } from '../../db/migrate.ts'
import { beginRestore, endRestore } from '../../db/unfinished-restore.ts'
import { OperatorError } from '../../errors.ts'
import { leaveOutPositions } from '../../events/events.queries.ts'
import { installJobs } from '../../jobs/boss.ts'
import { ensureMode, setSendingPaused } from '../../system/installation.queries.ts'
import { type BackupFile, openBackup, type Signature } from './backup-file.ts'
import { clearDatabase, inspectDatabase, lockForRestore } from './catalog.ts'
import { readHeader } from './contents.ts'
import { BackupError, type BackupHeader, type Summary } from './frames.ts'
import { isRejectedContent, loadFrames } from './load.ts'

export type RestoreOptions = {
  databaseUrl: string
  file: string
  /** The installation's key; undefined if it has none. */
  secretKey: Secret | undefined
  /** Whether to restore a file that is not signed with this key. */
  unsigned?: boolean
  /** Called with the header after the backup and the database have been checked. */
  before?: (header: BackupHeader) => Promise<void>
}

export type Restored = Summary & { header: BackupHeader; signature: Signature }

/**
 * Restores a backup into an empty database, pauses sending, and leaves out positions of the feed. The backup is data: tables, indexes, sequences and jobs are
 * created by our own code, and nothing in the file is run. Reads the whole file before it writes. Until everything is
 * restored, the database is marked and nothing starts on it; after an error it is empty again. Throws OperatorError if the
 * database has data or the backup is not acceptable.
 */
export async function readBackup(options: RestoreOptions): Promise<Restored> {
  const { file, secretKey } = options
  let backup: BackupFile | undefined
  try {
    backup = await openBackup(file, secretKey)
    const { signature } = backup
    if (signature !== 'own' && !options.unsigned) throw unverified(signature, secretKey !== undefined)
    const header = await inspect(backup)
    return { ...(await fill(options, backup, header)), header, signature }
  } catch (error) {
    throw toOperatorError(file, error)
  } finally {
    await backup?.close()
  }
}

function unverified(signature: Signature, hasKey: boolean): BackupError {
  if (signature === 'none') {
    return new BackupError(
      'it is not signed, so anybody may have written it. If you know that it is your own, from a version that did not sign backups, add --unsigned',
    )
  }
  const reason = hasKey ? 'it is signed with another secret key' : 'there is no secret key to check its signature with'
  return new BackupError(
    `${reason}. Copy secret.key of the installation that wrote it to this data directory, or set CARILLON_SECRET_KEY; --unsigned restores it without this check`,
  )
}

/** Reads the whole file and returns its header; rejects damage and a newer version before anything is written. */
async function inspect(backup: BackupFile): Promise<BackupHeader> {
  let header: BackupHeader | undefined
  for await (const frame of backup.frames()) header ??= readHeader(frame)
  if (header === undefined) throw new BackupError('it is empty')
  const known = new Map((await listMigrations()).map(({ name, hash }) => [name, hash]))
  const unknown = header.migrations.find(({ name, hash }) => known.get(name) !== hash)
  if (unknown) {
    const name = JSON.stringify(unknown.name.slice(0, 60))
    throw new BackupError(`it was written by another version of Carillon (${name}); restore it with that version`)
  }
  return header
}

async function fill({ databaseUrl, before }: RestoreOptions, backup: BackupFile, header: BackupHeader) {
  const client = await connect(databaseUrl)
  try {
    await lockForRestore(client)
    // a start that is migrating is waited for; afterwards it finds the mark, or the restore finds its data
    await client.query('select pg_advisory_lock($1)', [migrationLock])
    const content = await inspectDatabase(client)
    if (content === 'data') {
      throw new OperatorError('The database already has data. Restore a backup into an empty database.')
    }
    await before?.(header)
    if (content === 'partial') await clearDatabase(client)
    await beginRestore(client)
    await client.query('select pg_advisory_unlock($1)', [migrationLock])
    try {
      const summary = await build(client, databaseUrl, backup, header)
      // this commit is durable, and with it all earlier ones
      await client.query('set synchronous_commit = on')
      await endRestore(client)
      return summary
    } catch (error) {
      await clearAfterFailure(client)
      throw error
    }
  } finally {
    await client.end()
  }
}

/** Empties the database; without a connection to it, the mark remains, so that nothing starts on it. */
async function clearAfterFailure(client: pg.Client): Promise<void> {
  try {
    await client.query('rollback')
    await clearDatabase(client)
  } catch {}
}

async function build(client: pg.Client, databaseUrl: string, backup: BackupFile, header: BackupHeader) {
  const only = new Set(header.migrations.map(({ name }) => name))
  await migrate(databaseUrl, { only, duringRestore: true })
  await installJobs(databaseUrl)
  const summary = await loadFrames(client, backup.frames(), header)
  const mode = await ensureMode(clientDb(client), header.mode)
  if (mode !== header.mode) throw new BackupError(`its rows are in ${mode} mode, but it claims ${header.mode}`)
  await setSendingPaused(clientDb(client), true)
  await migrate(databaseUrl, { duringRestore: true })
  await leaveOutPositions(clientDb(client))
  await client.query('analyze')
  return summary
}

async function connect(databaseUrl: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'carillon restore' })
  client.on('error', () => {}) // the next statement reports it
  await client.connect()
  await client.query(`set timezone = 'UTC'; set statement_timeout = 0; set idle_in_transaction_session_timeout = 0;
    set synchronous_commit = off`)
  return client
}

/** Returns an OperatorError for an error of the file; other errors unchanged. */
function toOperatorError(file: string, error: unknown): unknown {
  const { code = '', message } = error as NodeJS.ErrnoException
  if (error instanceof BackupError) return new OperatorError(`${file} cannot be restored: ${message}.`)
  if (isRejectedContent(error)) {
    // the location without the value, which may be personal
    const location = /^COPY \w+, line \d+(?:, column \w+)?/.exec(error.where ?? '')?.[0]
    return new OperatorError(`${file} cannot be restored: ${location ? `${location}: ` : ''}${message.slice(0, 300)}.`)
  }
  if (code.startsWith('Z_')) return new OperatorError(`${file} is damaged or not a backup.`)
  if (code === 'ENOENT') return new OperatorError(`${file} does not exist.`)
  return error
}
