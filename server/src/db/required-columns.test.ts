import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmptyDatabase, emptyDatabase } from '../../test/database.ts'
import { hole, listSql } from '../../test/sql-source.ts'
import { migrate } from './migrate.ts'

let database: EmptyDatabase
beforeAll(async () => {
  database = await emptyDatabase()
  await migrate(database.url)
})
afterAll(() => database.close())

test('every insert statement lists all required columns that have no default', async () => {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  const { rows } = await client.query<{ table: string; required: string[] }>(`
    select attrelid::regclass::text as table, array_agg(attname::text) as required
      from pg_attribute a join pg_class c on c.oid = a.attrelid
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and attnum > 0 and attnotnull
       and not atthasdef and attidentity = '' group by 1`)
  await client.end()
  const requiredOf = new Map(rows.map(({ table, required }) => [table, required]))
  const inserts = listSql().flatMap(({ file, name, text }) =>
    [...text.matchAll(/insert into (\w+) \(([^)]*)\)/g)].map(([, table = '', list = '']) => ({
      file,
      name,
      table,
      list,
    })),
  )
  expect(inserts.length).toBeGreaterThan(30)
  const incomplete = inserts.flatMap(({ file, name, table, list }) => {
    if (list.includes(hole)) return [] // the columns of a row object, which are unknown before the statement runs
    const given = list.split(',').map((column) => column.trim().replaceAll('"', ''))
    const missing = (requiredOf.get(table) ?? []).filter((column) => !given.includes(column))
    return missing.length === 0 ? [] : [`${file} ${name}: ${table} lacks ${missing.join(', ')}`]
  })
  expect(incomplete).toEqual([])
})
