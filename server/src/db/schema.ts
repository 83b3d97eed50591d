import { readdir, readFile } from 'node:fs/promises'
import type pg from 'pg'
import { migrationsFolder } from './migrate.ts'

// The schema in PostgreSQL's catalog, for schema.sql and for the check of docs/database.md. It omits partitions and the tables
// of the job queue, which are created while the product runs.

type Column = { name: string; definition: string }

type Table = {
  name: string
  /** `unlogged `, or empty. */
  persistence: string
  columns: Column[]
  /** Each as `constraint <name> <definition>`: the primary key, then checks and keys, then references. */
  constraints: string[]
  /** Storage options and partitioning, after the closing parenthesis. */
  suffix: string
  /** Statements that create the indexes that no constraint owns, and the triggers. */
  statements: string[]
  /** The columns of the primary key. */
  key: string[]
  /** The foreign keys: the column, the table that it refers to, and whether it may be null. */
  references: { column: string; table: string; nullable: boolean }[]
}

export type DatabaseSchema = { types: string[]; sequences: string[]; functions: string[]; tables: Table[] }

/** Reads the schema `public` of a migrated database. */
export async function readSchema(client: pg.ClientBase): Promise<DatabaseSchema> {
  const texts = async (sql: string) => (await client.query<{ text: string }>(sql)).rows.map((row) => row.text)
  const { rows: tables } = await client.query<Table>(/* sql */ `
    select c.relname as name, case c.relpersistence when 'u' then 'unlogged ' else '' end as persistence,
           (select json_agg(json_build_object('name', a.attname, 'definition', concat_ws(' ',
                     format_type(a.atttypid, a.atttypmod),
                     case when a.attcollation <> t.typcollation then 'collate ' || a.attcollation::regcollation end,
                     case when a.attnotnull then 'not null' end,
                     case when a.attidentity = 'a' then 'generated always as identity' end,
                     'default ' || pg_get_expr(d.adbin, d.adrelid))) order by a.attnum)
              from pg_attribute a join pg_type t on t.oid = a.atttypid
              left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
           coalesce((select json_agg(format('constraint %I %s', k.conname, pg_get_constraintdef(k.oid))
                                     order by array_position('{p,u,c,f}', k.contype::text), k.conname)
                       from pg_constraint k where k.conrelid = c.oid and k.contype <> 'n'), '[]') as constraints,
           coalesce(' with (' || array_to_string(c.reloptions, ', ') || ')', '')
             || coalesce(' partition by ' || pg_get_partkeydef(c.oid), '') as suffix,
           coalesce((select json_agg(pg_get_indexdef(i.indexrelid) order by i.indexrelid::regclass::text)
                       from pg_index i
                      where i.indrelid = c.oid
                        and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.conrelid = c.oid)),
                    '[]')::jsonb
             || coalesce((select json_agg(pg_get_triggerdef(g.oid) order by g.tgname)
                            from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal), '[]')::jsonb as statements,
           coalesce((select json_agg(a.attname order by array_position(k.conkey, a.attnum))
                       from pg_constraint k join pg_attribute a on a.attrelid = c.oid and a.attnum = any(k.conkey)
                      where k.conrelid = c.oid and k.contype = 'p'), '[]') as key,
           coalesce((select json_agg(json_build_object('column', a.attname, 'table', k.confrelid::regclass::text,
                                                       'nullable', not a.attnotnull) order by a.attnum)
                       from pg_constraint k join pg_attribute a on a.attrelid = c.oid and a.attnum = k.conkey[1]
                      where k.conrelid = c.oid and k.contype = 'f'), '[]') as references
      from pg_class c
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
       and c.relname <> 'schema_migrations'
     order by c.relname`)
  return {
    types: await texts(/* sql */ `
      select format('create type %I as enum (%s)', t.typname,
                    string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder)) as text
        from pg_enum e join pg_type t on t.oid = e.enumtypid
       where t.typnamespace = 'public'::regnamespace group by t.typname order by t.typname`),
    sequences: await texts(/* sql */ `
      select format('create sequence %I', c.relname) as text from pg_class c
       where c.relkind = 'S' and c.relnamespace = 'public'::regnamespace
         and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i'))
       order by c.relname`),
    functions: await texts(/* sql */ `
      select pg_get_functiondef(oid) as text from pg_proc where pronamespace = 'public'::regnamespace order by proname`),
    tables,
  }
}

const keywords =
  /'[^']*'|\b(?:PRIMARY KEY|FOREIGN KEY|UNIQUE|CHECK|REFERENCES|ON DELETE CASCADE|CREATE|OR REPLACE|INDEX|TRIGGER|ON|USING|WHERE|WITH|INCLUDE|BEFORE|DELETE|UPDATE|OR|TRUNCATE|FOR EACH STATEMENT|EXECUTE FUNCTION|IS|NOT|NULL|AND|ANY|ARRAY|BETWEEN|IN|NULLS DISTINCT|NULLS NOT DISTINCT|RANGE|RETURNS|LANGUAGE|AS|FUNCTION)\b/g

/** Returns a definition of the catalog in the style of the migrations: lower case, short type names, no `public.`. */
function normalize(text: string): string {
  const [head = '', ...body] = text.split('AS $function$')
  const normalized = head
    .replace(keywords, (word) => (word.startsWith("'") ? word : word.toLowerCase()))
    .replaceAll('public.', '')
    .replaceAll(' using btree', '')
    .replaceAll('timestamp with time zone', 'timestamptz')
    .replaceAll('timestamp without time zone', 'timestamp')
    .replaceAll('time without time zone', 'time')
    .replaceAll(/('[^']*')::(?:text|smallint|text\[\]|jsonb)(?!\[)/g, '$1')
    .replaceAll(/\bcheck \(\((.*)\)\)/g, 'check ($1)')
  return body.length === 0 ? normalized : [normalized, ...body].join('as $function$')
}

/** Comments of tables, by `table`, and of columns, by `table.column`. */
type Comments = Map<string, string[]>

/** Reads the comments above tables and columns from the migrations, because the catalog does not contain them. */
export async function readComments(): Promise<Comments> {
  const comments: Comments = new Map()
  for (const file of (await readdir(migrationsFolder)).filter((name) => name.endsWith('.sql')).sort()) {
    let [table, lines]: [string, string[]] = ['', []]
    for (const line of (await readFile(`${migrationsFolder}${file}`, 'utf8')).split('\n')) {
      const comment = /^\s*--(.*)/.exec(line)
      if (comment) {
        lines.push(`--${comment[1]}`)
        continue
      }
      const start = /^(?:create (?:unlogged )?table|alter table) (\w+)/.exec(line)?.[1]
      if (start) table = start
      const column = /^ {2}(?:add column )?"?(\w+)"? /.exec(line)?.[1]
      if (lines.length > 0 && (start || column)) comments.set(start ?? `${table}.${column}`, lines)
      lines = []
    }
  }
  return comments
}

/** Returns the content of schema.sql. */
export function renderSchema(schema: DatabaseSchema, comments: Comments): string {
  const commentOf = (key: string, indent = '') => (comments.get(key) ?? []).map((line) => `${indent}${line}\n`).join('')
  const tables = schema.tables.map((table) => {
    const columns = table.columns.map(({ name, definition }) => ({
      comment: commentOf(`${table.name}.${name}`, '  '),
      line: `  ${name === 'window' ? '"window"' : name} ${normalize(definition)}`,
    }))
    const constraints = table.constraints.map((constraint) => ({ comment: '', line: `  ${normalize(constraint)}` }))
    const lines = [...columns, ...constraints]
      .map(({ comment, line }, i, all) => `${comment}${line}${i < all.length - 1 ? ',' : ''}\n`)
      .join('')
    const statements = table.statements.map((statement) => `${normalize(statement)};\n`).join('')
    return `${commentOf(table.name)}create ${table.persistence}table ${table.name} (\n${lines})${normalize(table.suffix)};\n${statements}`
  })
  return [
    '-- Written by `npm run gen` from a migrated database. To change the schema, add a migration: see migrations/README.md.\n',
    ...[...schema.types, ...schema.sequences, ...schema.functions].map(
      (statement) => `${normalize(statement).trimEnd()};\n`,
    ),
    ...tables,
  ].join('\n')
}
