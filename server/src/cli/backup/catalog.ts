import type { ClientBase } from 'pg'
import { isRestoreUnfinished } from '../../db/unfinished-restore.ts'
import { OperatorError } from '../../errors.ts'
import type { Mode } from '../../system/installation.queries.ts'
import type { JobFrame, SequenceFrame, TableFrame } from './frames.ts'

// Queries on PostgreSQL's catalog. They take a client, because a backup runs them in its snapshot on its own connections.

// an arbitrary number that no other code locks
const lockKey = 5_460_073

const logPartition = /^(?:message_log|submits)_(\d{4})(\d\d)(\d\d)$/
const stagingTable = /^import_rows_([1-9]\d{0,14})$/

/** Returns the day of a log partition, YYYY-MM-DD; undefined for any other table, or if its name has no date from 2000 to 2199. */
export function dayOfPartition(table: string): string | undefined {
  const day = logPartition.exec(table)?.slice(1).join('-')
  if (day === undefined || !/^2[01]/.test(day)) return undefined
  const date = new Date(`${day}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day) ? day : undefined
}

/** Returns the import whose rows a staging table has; undefined for any other table. */
export function importOfStagingTable(table: string): number | undefined {
  const id = stagingTable.exec(table)?.[1]
  return id === undefined ? undefined : Number(id)
}

/** Quotes an identifier for a statement. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/**
 * Returns the tables of a backup, each with its columns: all except unlogged tables, which a crash empties too, the list of
 * migrations, which the restore writes itself, and the tables of days that are being dropped, whose archive is complete; or those of
 * the given names. Staging tables of imports come first,
 * because they are dropped soon.
 */
export async function listTables(client: ClientBase, only?: readonly string[]): Promise<TableFrame[]> {
  const { rows } = await client.query<TableFrame>(
    /* sql */ `
    select c.relname::text as name, array_agg(a.attname::text order by a.attnum) as columns
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
     where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relpersistence = 'p'
       and c.relname <> 'schema_migrations' and c.relname !~ '^(message_log|submits)_[0-9]{8}_detached$' and ($1::text[] is null or c.relname = any($1))
     group by c.oid, c.relname
     order by c.relname like 'import\\_rows\\_%' desc, c.relname`,
    [only],
  )
  return rows
}

/** Returns the current value of each sequence. */
export async function listSequences(client: ClientBase): Promise<SequenceFrame[]> {
  const { rows } = await client.query<{ name: string }>(/* sql */ `
    select relname as name from pg_class where relkind = 'S' and relnamespace = 'public'::regnamespace order by 1`)
  const sequences: SequenceFrame[] = []
  for (const { name } of rows) {
    const found = await client.query(
      `select last_value::text as "lastValue", is_called as "isCalled" from ${quoted(name)}`,
    )
    sequences.push({ name, ...found.rows[0] })
  }
  return sequences
}

/** Returns the unfinished jobs of these names. Every job may run twice. */
export async function listOpenJobs(client: ClientBase, names: readonly string[]): Promise<JobFrame[]> {
  const known = await client.query(`select to_regclass('pgboss.job') is not null as known`)
  if (!known.rows[0].known) return []
  const { rows } = await client.query<JobFrame>(
    /* sql */ `
    select name, coalesce(data, '{}') as data from pgboss.job
     where state <= 'active' and name = any($1) order by created_on, id`,
    [names],
  )
  return rows
}

/** Returns the mode of the installation and its applied migrations. */
export async function readInstallation(client: ClientBase) {
  const { rows: migrations } = await client.query<{ name: string; hash: string }>(
    'select name, hash from schema_migrations order by name',
  )
  const { rows } = await client.query<{ mode: Mode }>('select mode from installation')
  return { mode: rows[0]?.mode ?? ('sandbox' as const), migrations }
}

/** Throws OperatorError if another restore writes to the database; otherwise none can until the connection ends. */
export async function lockForRestore(client: ClientBase): Promise<void> {
  const { rows } = await client.query('select pg_try_advisory_lock($1) as locked', [lockKey])
  if (!rows[0].locked) throw new OperatorError('Another restore writes to this database.')
}

/** Returns whether the database is empty, has only the tables of an interrupted start or restore, or has data. */
export async function inspectDatabase(client: ClientBase): Promise<'nothing' | 'partial' | 'data'> {
  const { rows } = await client.query<{ tables: string; ours: boolean; accounts: boolean; installation: boolean }>(
    /* sql */ `
    select count(*)::text as tables, bool_or(relname = 'schema_migrations') as ours,
           bool_or(relname = 'accounts') as accounts, bool_or(relname = 'installation') as installation
      from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')`,
  )
  const [found] = rows
  if (!found || found.tables === '0') return 'nothing'
  if (!found.ours) return 'data'
  if (await isRestoreUnfinished(client)) return 'partial'
  for (const table of ['accounts', 'installation'] as const) {
    if (found[table] && (await client.query(`select from ${table} limit 1`)).rowCount) return 'data'
  }
  return 'partial'
}

/** Drops everything that migrations, jobs and a restore have created, one by one, so that few locks are held at a time. */
export async function clearDatabase(client: ClientBase): Promise<void> {
  const { rows: relations } = await client.query<{ name: string }>(/* sql */ `
    select oid::regclass::text as name from pg_class
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname <> 'schema_migrations'
     order by not relispartition`)
  await client.query('drop schema if exists pgboss cascade')
  for (const { name } of relations) await client.query(`drop table if exists ${name} cascade`)
  const { rows: others } = await client.query<{ object: string }>(/* sql */ `
    select 'sequence ' || oid::regclass as object from pg_class
     where relnamespace = 'public'::regnamespace and relkind = 'S' and pg_has_role(relowner, 'usage')
       and not exists (select from pg_depend d where d.objid = pg_class.oid and d.deptype in ('a', 'i', 'e'))
    union all
    select 'routine ' || oid::regprocedure from pg_proc p
     where pronamespace = 'public'::regnamespace and pg_has_role(proowner, 'usage')
       and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
    union all
    select 'type ' || oid::regtype from pg_type t
     where typnamespace = 'public'::regnamespace and typtype = 'e' and pg_has_role(typowner, 'usage')
       and not exists (select from pg_depend d where d.objid = t.oid and d.deptype = 'e')`)
  for (const { object } of others) await client.query(`drop ${object} cascade`)
  // last, because it marks the unfinished restore
  await client.query('drop table if exists schema_migrations')
}
