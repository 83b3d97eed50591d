import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { make } from '../../../test/make.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { assertMode } from '../../bin/mode.ts'
import { expandOnce } from '../../broadcasts/expand.ts'
import { Secret } from '../../config/secret.ts'
import type { Db } from '../../db/db.ts'
import { migrate } from '../../db/migrate.ts'
import { beginRestore } from '../../db/unfinished-restore.ts'
import { receiveImport } from '../../imports/imports.ts'
import { claimChunks } from '../../log/claims.queries.ts'
import { detachDay, lockRemoval, renameDay } from '../../log/remove-day.queries.ts'
import { acceptBroadcast } from '../../messages/messages.ts'
import { setSendingPaused } from '../../system/installation.queries.ts'
import { runCli } from '../cli.ts'
import { readBackup } from './read-backup.ts'
import { writeBackup } from './write-backup.ts'

const secretKey = new Secret('5a'.repeat(32))

let origin: TestDatabase
let copy: TestDatabase
let folder: string
let file: string

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'carillon-backup-'))
  file = join(folder, 'monday.backup')
  ;[origin, copy] = await Promise.all([freshDatabase(), freshDatabase('template0')])
})

afterEach(async () => {
  await Promise.all([origin.close(), copy.close()])
  rmSync(folder, { recursive: true, force: true })
})

const backUp = () => writeBackup(origin.url, file, secretKey)
const restore = (from = file, url = copy.url) => readBackup({ databaseUrl: url, file: from, secretKey })

/** Makes an account with a list of this size, a broadcast that is being sent, and an import that waits for a worker. */
async function makeContents(db: Db, subscribers = 50) {
  await db.exec('mode', `insert into installation (mode) values ('sandbox')`)
  const list = await make.list(db, { messageHelp: 'Tab\there, \\N backslash, "quotes", \u{1F514}, line\nbreak' })
  const rt = makeRuntime({ db })
  for (let i = 0; i < subscribers; i += 1) await make.subscriber(db, { listId: list.id, phone: 2_065_550_200 + i })
  await db.exec(
    'name',
    `update subscribers set first_name = E'O\\'Hara\\t\\\\x', tags = '{a,"b c",NULL}' where phone % 2 = 0`,
  )
  const connection = await make.connection(db)
  await db.exec('seal', `update connections set password = '\\x0100ff5c', carrier_mps = '{"383": 20}'`)
  await db.exec('route', 'insert into short_code_routes values ($1, $2, 1, 3)', [list.shortCodeId, connection.id])
  await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'The pantry opens at nine.' })
  while (await expandOnce(rt));
  const body = Readable.from(['phone_number,first_name\n2065550143,Marisol\n'], { objectMode: false })
  const upload = { accountId: list.accountId, listId: list.id, apiKeyId: null, source: null, body }
  await receiveImport(rt, { ...upload, format: 'csv', unknownColumns: 'reject' })
  return { list, rt }
}

/** Reads every row of every table as text, and the value of each sequence; feed.test.ts is about the positions of events. */
async function readContents(db: Db): Promise<Record<string, string[]>> {
  const all: Record<string, string[]> = {}
  await db.withClient(async (client) => {
    const { rows } = await client.query<{ name: string; isSequence: boolean }>(`
      select relname as name, relkind = 'S' as "isSequence" from pg_class
       where relnamespace = 'public'::regnamespace and relkind in ('r', 'S') 
         and relname not in ('heartbeats', 'schema_migrations', 'event_sequence', 'event_gaps', 'test_positions')`)
    for (const { name, isSequence } of rows) {
      const sql = isSequence
        ? `select last_value::text || is_called as row from ${name}`
        : `select t::text as row from "${name}" t`
      all[name] = (await client.query<{ row: string }>(sql)).rows.map(({ row }) => row).sort()
    }
  })
  return all
}

/** Reads the tables, columns, constraints, indexes and triggers that the migrations create. */
async function readSchema(db: Db): Promise<string[]> {
  return db.withClient(async (client) => {
    const { rows } = await client.query<{ definition: string }>(`
      select conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || convalidated as definition
        from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
      union all select indexdef from pg_indexes where schemaname = 'public'
      union all select pg_get_triggerdef(t.oid) || tgenabled::text from pg_trigger t join pg_class c on c.oid = tgrelid
                 where not tgisinternal and c.relnamespace = 'public'::regnamespace
      union all select table_name || '.' || column_name || ' ' || data_type || is_nullable || coalesce(column_default, '')
                  from information_schema.columns where table_schema = 'public'
      order by 1`)
    return rows.map(({ definition }) => definition)
  })
}

function openJobs(db: Db) {
  return db.many('jobs', `select name, data from pgboss.job where state <= 'active' order by name`)
}

test('a restored copy has every row, table, index, sequence value and waiting job of the original', async () => {
  await makeContents(origin.db)
  const written = await backUp()
  const read = await restore()
  expect(read).toMatchObject({ ...written, header: { mode: 'sandbox' } })
  await setSendingPaused(copy.db, false)
  const [before, after] = [await readContents(origin.db), await readContents(copy.db)]
  expect(Object.keys(before).some((name) => name.startsWith('import_rows_'))).toBe(true)
  expect(Object.keys(before).some((name) => name.startsWith('message_log_'))).toBe(true)
  expect(after).toEqual(before)
  expect(await readSchema(copy.db)).toEqual(await readSchema(origin.db))
  expect(await openJobs(copy.db)).toEqual(await openJobs(origin.db))
  expect(await openJobs(copy.db)).toMatchObject([{ name: 'imports.apply' }])
  // new rows can be inserted
  await make.list(copy.db)
})

test('a restored copy sends nothing until sending is resumed', async () => {
  await makeContents(origin.db)
  await backUp()
  await restore()
  const claim = {
    owner: '00000000-0000-0000-0000-000000000001',
    leaseMs: 1_000,
    now: new Date(),
    fromLane: 0,
    toLane: 9,
    limit: 9,
  }
  expect(await claimChunks(copy.db, claim)).toEqual([])
  await setSendingPaused(copy.db, false)
  expect(await claimChunks(copy.db, claim)).toHaveLength(1)
  expect(await claimChunks(origin.db, claim)).toHaveLength(1)
})

test('a transaction during the backup is contained completely or not at all', async () => {
  const { list } = await makeContents(origin.db, 0)
  let written = 0
  let stop = false
  const writing = (async () => {
    while (!stop) {
      await make.subscriber(origin.db, { listId: list.id, phone: 2_065_560_000 + written })
      written += 1
    }
  })()
  try {
    while (written < 50) await new Promise((resolve) => setImmediate(resolve))
    await backUp()
  } finally {
    stop = true
    await writing
  }
  await restore()
  const count = (sql: string) => copy.db.one<{ n: number }>('count', sql).then(({ n }) => n)
  const numbers = await count('select count(*) as n from subscribers')
  expect(numbers).toBeGreaterThanOrEqual(50)
  expect(numbers).toBeLessThanOrEqual(written)
  const counted = await copy.db.one<{ n: number }>(
    'counted',
    `select (select coalesce(sum(subscribed), 0) from list_deltas)
          + (select sum(subscribed_count) from lists)::bigint as n`,
  )
  expect(Number(counted.n)).toBe(numbers)
})

test('a slow backup does not block other sessions: a table can be dropped as soon as it has been copied', async () => {
  await makeContents(origin.db)
  const busy = new pg.Client({ connectionString: origin.url })
  await busy.connect()
  await busy.query('begin; lock table subscribers in access exclusive mode')
  const backup = backUp()
  for (;;) {
    const waiting = await busy.query(`select from pg_locks where not granted and relation = 'subscribers'::regclass`)
    if (waiting.rowCount) break
  }
  const { rows } = await busy.query(
    `select relname from pg_class where relname like 'import\\_rows\\_%' and relkind = 'r'`,
  )
  await busy.query(`set lock_timeout = '2s'; drop table ${rows[0].relname}; alter table accounts add column extra text`)
  await busy.query('rollback')
  await backup
  await busy.end()
})

test('no day of the log is removed while a backup runs, and one that is being dropped is not in it', async () => {
  await origin.db.exec('days', `select ensure_log_day(day::date) from unnest('{2026-03-02,2026-03-03}'::text[]) as day`)
  await detachDay(origin.db, '2026-03-02')
  await origin.db.tx((tx) => renameDay(tx, '2026-03-02'))
  const busy = new pg.Client({ connectionString: origin.url })
  await busy.connect()
  await busy.query('begin; lock table subscribers in access exclusive mode')
  const mayRemove = () => origin.db.tx((tx) => lockRemoval(tx))
  expect(await mayRemove()).toBe(true)
  const backup = backUp()
  await waitFor(async () => !(await mayRemove()))
  await busy.end()
  await backup
  expect(await mayRemove()).toBe(true)
  await restore()
  const days = await copy.db.many<{ name: string }>(
    'days',
    `select relname as name from pg_class where relname ~ '^(message_log|submits)_2026030[23]' and relkind = 'r' order by 1`,
  )
  expect(days.map(({ name }) => name)).toEqual(['message_log_20260303', 'submits_20260303'])
})

test('a backup of an older version is restored and then migrated', async () => {
  await makeContents(origin.db)
  await origin.db.exec(
    'older',
    `drop table momt_report_parts, momt_report_row_groups, momt_reports, donation_codes, donations, log_archive_files, log_archives`,
  )
  await origin.db.exec('older_2', `delete from schema_migrations where name = '1200_reports.sql'`)
  await backUp()
  await restore()
  expect(await copy.db.one('paused', 'select sending_paused from installation')).toEqual({ sending_paused: true })
  expect(await copy.db.many('none', 'select id from donations')).toEqual([])
  expect(await copy.db.many('done', `select name from schema_migrations where name like '1200%'`)).toHaveLength(1)
})

test('a backup of a newer version, or of changed migrations, is rejected', async () => {
  await makeContents(origin.db)
  await origin.db.exec('newer', `insert into schema_migrations (name, hash) values ('9999_future.sql', 'x')`)
  await backUp()
  await expect(restore()).rejects.toThrow('was written by another version of Carillon ("9999_future.sql")')
  expect(await copy.db.many('none', `select from pg_class where relnamespace = 'public'::regnamespace`)).toEqual([])
})

test('a database with data is not changed, and an existing file is not overwritten', async () => {
  await makeContents(origin.db)
  const before = await readContents(origin.db)
  await backUp()
  await expect(restore(file, origin.url)).rejects.toThrow('The database already has data')
  expect(await readContents(origin.db)).toEqual(before)
  await expect(backUp()).rejects.toThrow('already exists')
})

test('a failed backup leaves no file', async () => {
  const nowhere = new URL(inject('clusterUrl'))
  nowhere.pathname = '/postgres'
  await expect(writeBackup(nowhere.href, file, secretKey)).rejects.toThrow()
  expect(readdirSync(folder)).toEqual([])
})

test('only the account that wrote a backup can read it, and one of two concurrent backups gets the name', async () => {
  await makeContents(origin.db, 0)
  const results = await Promise.allSettled([backUp(), backUp()])
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  expect(readdirSync(folder)).toEqual(['monday.backup'])
  expect(statSync(file).mode & 0o777).toBe(0o600)
  await restore()
})

test('of two concurrent restores one writes, and the other changes nothing', async () => {
  await makeContents(origin.db, 0)
  await backUp()
  const results = await Promise.allSettled([restore(), restore()])
  expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  const failed = results.find((result) => result.status === 'rejected')
  expect(failed?.reason.message).toMatch(/^Another restore writes to this database|already has data/)
  await setSendingPaused(copy.db, false)
  expect(await readContents(copy.db)).toEqual(await readContents(origin.db))
})

test('a backup contains every job that a noun enqueues', () => {
  const source = fileURLToPath(new URL('../../', import.meta.url))
  const enqueued = globSync('**/*.ts', { cwd: source, exclude: (path) => /test|^jobs|^cli/.test(path) }).flatMap(
    (path) =>
      [...readFileSync(join(source, path), 'utf8').matchAll(/\b(?:enqueue|announceWork)\(\w+, (\w+)[,)]/g)].map(
        (match) => match[1],
      ),
  )
  const list = /jobsOfRequests.*\[(\w.*)\]/.exec(readFileSync(new URL('jobs.ts', import.meta.url), 'utf8'))?.[1]
  expect(new Set(list?.split(', '))).toEqual(new Set(enqueued))
})

test('nothing starts on a database whose restore was killed, and the backup can be restored into it again', async () => {
  await makeContents(origin.db)
  await backUp()
  const half = await freshDatabase()
  try {
    await make.list(half.db)
    await half.db.withClient(beginRestore)
    await expect(migrate(half.url)).rejects.toThrow('A restore into this database has not ended')
    await expect(assertMode(half.db, 'sandbox')).rejects.toThrow('A restore into this database has not ended')
    await expect(runCli({ args: ['account', 'list'], env: { DATABASE_URL: half.url }, cwd: folder })).rejects.toThrow(
      'A restore into this database has not ended',
    )
    await restore(file, half.url)
    await migrate(half.url)
    await assertMode(half.db, 'sandbox')
    await setSendingPaused(half.db, false)
    expect(await readContents(half.db)).toEqual(await readContents(origin.db))
  } finally {
    await half.close()
  }
})
