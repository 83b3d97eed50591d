import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gunzipSync, gzipSync } from 'node:zlib'
import pg from 'pg'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { make } from '../../../test/make.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { expandOnce } from '../../broadcasts/expand.ts'
import type { Db } from '../../db/db.ts'
import { receiveImport } from '../../imports/imports.ts'
import { claimChunks } from '../../log/claims.queries.ts'
import { acceptBroadcast } from '../../messages/messages.ts'
import { setSendingPaused } from '../../system/installation.queries.ts'
import { encodeFrame, readFrames } from './frames.ts'
import { readBackup } from './read-backup.ts'
import { writeBackup } from './write-backup.ts'

let origin: TestDatabase
let copy: TestDatabase
let folder: string
let file: string

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'carillon-backup-'))
  file = join(folder, 'monday.backup')
  origin = await freshDatabase()
  copy = await freshDatabase()
  await copy.db.exec('empty', 'drop schema public cascade')
  await copy.db.exec('empty_2', 'create schema public')
  await copy.db.exec('empty_3', 'drop schema pgboss cascade')
})

afterEach(async () => {
  await Promise.all([origin.close(), copy.close()])
  rmSync(folder, { recursive: true, force: true })
})

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

/** Reads every row of every table as text, and the value of each sequence. */
async function readContents(db: Db): Promise<Record<string, string[]>> {
  const all: Record<string, string[]> = {}
  await db.withClient(async (client) => {
    const { rows } = await client.query<{ name: string; isSequence: boolean }>(`
      select relname as name, relkind = 'S' as "isSequence" from pg_class
       where relnamespace = 'public'::regnamespace and relkind in ('r', 'S') and relname not in ('heartbeats', 'schema_migrations')`)
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
  const written = await writeBackup(origin.url, file)
  const read = await readBackup(copy.url, file)
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
  await writeBackup(origin.url, file)
  await readBackup(copy.url, file)
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
    await writeBackup(origin.url, file)
  } finally {
    stop = true
    await writing
  }
  await readBackup(copy.url, file)
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
  const backup = writeBackup(origin.url, file)
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

test('a backup of an older version is restored and then migrated', async () => {
  await makeContents(origin.db)
  await origin.db.exec('older', `drop table momt_reports, donations`)
  await origin.db.exec('older_2', `delete from schema_migrations where name = '1200_reports.sql'`)
  await writeBackup(origin.url, file)
  await readBackup(copy.url, file)
  expect(await copy.db.one('paused', 'select sending_paused from installation')).toEqual({ sending_paused: true })
  expect(await copy.db.many('none', 'select id from donations')).toEqual([])
  expect(await copy.db.many('done', `select name from schema_migrations where name like '1200%'`)).toHaveLength(1)
})

test('a backup of a newer version, or of changed migrations, is rejected', async () => {
  await makeContents(origin.db)
  await origin.db.exec('newer', `insert into schema_migrations (name, hash) values ('9999_future.sql', 'x')`)
  await writeBackup(origin.url, file)
  await expect(readBackup(copy.url, file)).rejects.toThrow(
    'was written by another version of Carillon (9999_future.sql)',
  )
  expect(await copy.db.many('none', `select from pg_class where relnamespace = 'public'::regnamespace`)).toEqual([])
})

test('a database with data is not changed, and an existing file is not overwritten', async () => {
  await makeContents(origin.db)
  const before = await readContents(origin.db)
  await writeBackup(origin.url, file)
  await expect(readBackup(origin.url, file)).rejects.toThrow('The database already has data')
  expect(await readContents(origin.db)).toEqual(before)
  await expect(writeBackup(origin.url, file)).rejects.toThrow('already exists')
})

test.each<[string, (bytes: Buffer) => Buffer]>([
  ['truncated', (bytes) => bytes.subarray(0, bytes.length - 100)],
  ['with a flipped bit', (bytes) => Buffer.from(bytes.map((byte, i) => (i === bytes.length >> 1 ? byte ^ 4 : byte)))],
  ['not a backup', () => Buffer.from('hello')],
  ['a gzipped text', () => gzipSync('hello world, this is a text')],
  ['without its last frame', (bytes) => gzipSync(withoutLastFrame(gunzipSync(bytes)))],
  ['empty', () => Buffer.alloc(0)],
])(
  'a file that is %s is rejected, and a valid backup can be restored into the database afterwards',
  async (_case, damage) => {
    await makeContents(origin.db)
    await writeBackup(origin.url, file)
    const bad = join(folder, 'bad.backup')
    writeFileSync(bad, damage(readFileSync(file)))
    await expect(readBackup(copy.url, bad)).rejects.toThrow(
      /bad\.backup (cannot be restored|is damaged or not a backup)/,
    )
    await readBackup(copy.url, file)
    await setSendingPaused(copy.db, false)
    expect(await readContents(copy.db)).toEqual(await readContents(origin.db))
  },
)

function withoutLastFrame(bytes: Buffer): Buffer {
  let at = 0
  for (;;) {
    const next = at + 5 + bytes.readUInt32BE(at + 1)
    if (next === bytes.length) return bytes.subarray(0, at)
    at = next
  }
}

test('a failed backup leaves no file', async () => {
  const nowhere = new URL(inject('clusterUrl'))
  nowhere.pathname = '/postgres'
  await expect(writeBackup(nowhere.href, file)).rejects.toThrow()
  expect(() => readFileSync(file)).toThrow('ENOENT')
  expect(() => readFileSync(`${file}.partial`)).toThrow('ENOENT')
})

test('frames are decoded as they were encoded, for every division of the stream into chunks', async () => {
  const bytes = Buffer.concat([
    encodeFrame('H', { a: 'é' }),
    encodeFrame('D', Buffer.from('1\t2\n')),
    encodeFrame('Z', {}),
  ])
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const frames: string[] = []
    for await (const { kind, content } of readFrames(Readable.from([bytes.subarray(0, cut), bytes.subarray(cut)]))) {
      frames.push(kind + content)
    }
    expect(frames).toEqual(['H{"a":"é"}', 'D1\t2\n', 'Z{}'])
  }
})
