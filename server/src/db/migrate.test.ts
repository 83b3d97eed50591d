import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type EmptyDatabase, emptyDatabase } from '../../test/database.ts'
import { fillDiagrams } from './diagram.ts'
import { listMigrations, migrate } from './migrate.ts'
import { readComments, readSchema, renderSchema } from './schema.ts'

let database: EmptyDatabase
beforeEach(async () => {
  database = await emptyDatabase()
})
afterEach(() => database.close())

async function query<T extends pg.QueryResultRow>(sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  try {
    return (await client.query<T>(sql)).rows
  } finally {
    await client.end()
  }
}

async function schemaText(): Promise<string> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  try {
    return renderSchema(await readSchema(client), await readComments())
  } finally {
    await client.end()
  }
}

test('an empty database gets the schema of schema.sql', async () => {
  expect(await migrate(database.url)).toEqual((await listMigrations()).map(({ name }) => name))
  expect(await schemaText()).toBe(await readFile(new URL('../../schema.sql', import.meta.url), 'utf8'))
})

test('docs/database.md has each table in one diagram, and each diagram has all references', async () => {
  await migrate(database.url)
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  const schema = await readSchema(client)
  await client.end()
  const page = await readFile(new URL('../../../docs/database.md', import.meta.url), 'utf8')
  expect(fillDiagrams(page, schema)).toBe(page)
  expect(fillDiagrams(page.replace('  accounts ||--o{ users : account_id\n', ''), schema)).toBe(page)
  expect(() => fillDiagrams(page.replace('diagram of imports, import_skips', 'diagram of imports'), schema)).toThrow(
    'docs/database.md has no diagram with import_skips',
  )
  expect(() => fillDiagrams(page.replace('diagram of quiet_hours', 'diagram of quiet_hours, imports'), schema)).toThrow(
    'docs/database.md lists imports, which do not exist or are listed twice',
  )
})

test('migrating again runs nothing and changes nothing', async () => {
  await migrate(database.url)
  const before = await schemaText()
  const applied = await query('select name, hash, applied_at from schema_migrations order by name')
  expect(await migrate(database.url)).toEqual([])
  expect(await Promise.all([migrate(database.url), migrate(database.url)])).toEqual([[], []])
  expect(await schemaText()).toBe(before)
  expect(await query('select name, hash, applied_at from schema_migrations order by name')).toEqual(applied)
})

test('migrating a database with rows runs the missing files and does not change the rows', async () => {
  const files = (await listMigrations()).map(({ name }) => name)
  await migrate(database.url, { only: new Set(files.slice(0, -3)) })
  const [key] = await query<{ text: string }>(`
    with account as (
      insert into accounts (email, username, created_at) values ('ana@cedar.example', 'ana', now()) returning id
    ), code as (
      insert into short_codes (account_id, code, created_at) select id, '88223', now() from account returning id, account_id
    ), list as (
      insert into lists (account_id, short_code_id, name, created_at, updated_at)
      select account_id, id, 'Cedar', now(), now() from code returning id
    )
    insert into subscribers (list_id, phone, state, created_at) select id, 2065550100, 'subscribed', now() from list
    returning list_id || ' ' || phone as text`)
  expect(await migrate(database.url)).toEqual(files.slice(-3))
  expect(await query(`select list_id || ' ' || phone as text from subscribers`)).toEqual([key])
  expect(await schemaText()).toBe(await readFile(new URL('../../schema.sql', import.meta.url), 'utf8'))
})

test('two processes that migrate concurrently run each file once', async () => {
  const [one, two] = await Promise.all([migrate(database.url), migrate(database.url)])
  expect([...one, ...two].sort()).toEqual((await listMigrations()).map(({ name }) => name))
})

test('migrating fails if a file has changed since it ran', async () => {
  await migrate(database.url)
  await query(`update schema_migrations set hash = 'other' where name = '0400_lists.sql'`)
  await expect(migrate(database.url)).rejects.toThrow('migration 0400_lists.sql has changed since it ran')
})
