import type { ClientBase } from 'pg'
import type { Mode } from '../../system/installation.queries.ts'
import type { JobFrame, SequenceFrame, TableFrame } from './frames.ts'

// Queries on PostgreSQL's catalog. They take a client, because a backup runs them in its snapshot on its own connections.

const log = /^(?:message_log|submits)_(\d{4})(\d\d)(\d\d)$/

/** Returns the day of a log partition, YYYY-MM-DD; undefined for any other table. */
export function dayOfPartition(table: string): string | undefined {
  return log.exec(table)?.slice(1).join('-')
}

/** Quotes an identifier for a statement. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/**
 * Returns the tables of a backup, each with its columns: all except unlogged tables, which a crash empties too, and the
 * list of migrations, which the restore writes itself. Staging tables of imports come first, because they are dropped soon.
 * `migrated` has the names of the tables that migrations create; for the others, the result includes their definition.
 */
export async function listTables(client: ClientBase, migrated: ReadonlySet<string>): Promise<TableFrame[]> {
  const { rows } = await client.query<{ name: string; columns: string[]; types: string[]; indexes: string[] }>(
    /* sql */ `
    select c.relname as name,
           array_agg(a.attname::text order by a.attnum) as columns,
           array_agg(format('%I %s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                            case when a.attnotnull then ' not null' else '' end) order by a.attnum) as types,
           coalesce((select array_agg(pg_get_indexdef(i.indexrelid)) from pg_index i where i.indrelid = c.oid), '{}')
             as indexes
      from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
     where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relpersistence = 'p'
       and c.relname <> 'schema_migrations'
     group by c.oid, c.relname
     order by c.relname like 'import\\_rows\\_%' desc, c.relname`,
  )
  return rows.map(({ name, columns, types, indexes }) => {
    if (migrated.has(name) || dayOfPartition(name)) return { name, columns }
    return { name, columns, definition: [`create table ${quoted(name)} (${types.join(', ')})`, ...indexes] }
  })
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

/** Returns the unfinished jobs, except for those of schedules, which are enqueued anyway. Every job may run twice. */
export async function listOpenJobs(client: ClientBase): Promise<JobFrame[]> {
  const known = await client.query(`select to_regclass('pgboss.job') is not null as known`)
  if (!known.rows[0].known) return []
  const { rows } = await client.query<JobFrame>(/* sql */ `
    select name, coalesce(data, '{}') as data from pgboss.job
     where state <= 'active' and singleton_key is distinct from 'schedule' and name not like '\\_\\_pgboss%'
     order by created_on, id`)
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
  for (const table of ['accounts', 'installation'] as const) {
    if (found[table] && (await client.query(`select from ${table} limit 1`)).rowCount) return 'data'
  }
  return 'partial'
}
