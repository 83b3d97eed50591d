import type { ClientBase } from 'pg'
import { OperatorError } from '../errors.ts'

// While a restore writes, the list of migrations has a row that is no migration. Nothing starts on such a database: if the
// restore dies, its rows are incomplete.

const mark = '~ restore'

export const unfinishedRestoreMessage =
  'A restore into this database has not ended or was interrupted. Restore the backup again, or use another database.'

/** Marks the database as one that a restore writes to. */
export async function beginRestore(client: ClientBase): Promise<void> {
  await client.query(createListOfMigrations)
  await client.query('insert into schema_migrations (name, hash) values ($1, $1) on conflict do nothing', [mark])
}

/** Removes the mark: the restore is complete. */
export async function endRestore(client: ClientBase): Promise<void> {
  await client.query('delete from schema_migrations where name = $1', [mark])
}

/** Returns whether a restore writes to this database, or was interrupted; the list of migrations must exist. */
export async function isRestoreUnfinished(client: Pick<ClientBase, 'query'>): Promise<boolean> {
  const { rowCount } = await client.query('select from schema_migrations where name = $1', [mark])
  return rowCount === 1
}

/** Throws OperatorError if a restore into this database has not ended. */
export async function assertRestored(client: Pick<ClientBase, 'query'>): Promise<void> {
  if (await isRestoreUnfinished(client)) throw new OperatorError(unfinishedRestoreMessage)
}

export const createListOfMigrations =
  'create table if not exists schema_migrations (name text primary key, hash text not null, applied_at timestamptz not null default now())'
