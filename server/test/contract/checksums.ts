import { createHash } from 'node:crypto'
import type { Db } from '../../src/db/db.ts'

/** Returns a checksum of all rows of each table, except the last use of keys. */
export async function checksumsOf(db: Db): Promise<Record<string, string>> {
  const tables = await db.many<{ name: string }>(
    'list_tables',
    `select format('%I.%I', n.nspname, c.relname) as name
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and not c.relispartition and n.nspname not in ('pg_catalog', 'information_schema')
       and n.nspname not like 'pg\\_%'
     order by 1`,
    [],
  )
  const sums = tables.map(
    ({ name }) => `select '${name}' as name,
      md5(coalesce(string_agg((to_jsonb(t) - 'last_used_at')::text, '|' order by (to_jsonb(t))::text), '')) as sum
      from ${name} t`,
  )
  // the name contains a hash of the tables, because an import may have created one
  const statement = `checksums_${createHash('md5')
    .update(tables.map(({ name }) => name).join())
    .digest('hex')}`
  const rows = await db.many<{ name: string; sum: string }>(statement, sums.join(' union all '), [])
  return Object.fromEntries(rows.map(({ name, sum }) => [name, sum]))
}
