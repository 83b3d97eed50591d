import { existsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { asStream, encodeUntagged, otherKey, secretKey, useSampleBackup } from '../../../test/backups.ts'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { encodeBackup } from './backup-file.ts'
import { readHeader } from './contents.ts'
import { type BackupHeader, type Frame, makeFrame } from './frames.ts'
import { loadFrames } from './load.ts'
import { readBackup } from './read-backup.ts'

// Files that somebody has invented, after the check of their signature. None may run anything or leave rows behind.

const sample = useSampleBackup()
let target: TestDatabase
let header: BackupHeader

beforeAll(async () => {
  target = await freshDatabase()
  header = readHeader(sample.frames[0] as Frame)
})

afterAll(() => target.close())

/** Writes a backup with these frames, signed with another key. */
async function write(contents: Frame[]): Promise<string> {
  const file = sample.path('invented')
  writeFileSync(file, await Array.fromAsync(encodeBackup(asStream(contents), otherKey)).then(Buffer.concat))
  return file
}

const proof = join(tmpdir(), `carillon-hostile-proof-${process.pid}`)
const run = `from program 'touch ${proof}'`

/** Restores frames into a migrated database as `restore` does after its checks, and returns the error. */
async function load(contents: Frame[]): Promise<string> {
  return target.db.withClient(async (client) => {
    try {
      await loadFrames(client as never, asStream(contents), header)
      return 'restored'
    } catch (error) {
      return String((error as Error).message)
    } finally {
      await client.query('rollback')
    }
  })
}

const json = (frame: Frame) => JSON.parse(frame.content.toString())
const table = (name: string, columns: string[] = ['id']) => makeFrame('T', { name, columns })

test.each<[string, RegExp]>([
  [`x"; drop table accounts; --`, /no table/],
  [`accounts (id) ${run}; --`, /no table/],
  [`accounts" ${run}; --`, /no table/],
  [`public.accounts`, /no table/],
  ['ACCOUNTS', /no table/],
  ['pg_authid', /no table/],
  ['pg_proc', /no table/],
  ['pgboss.job', /no table/],
  ['job', /no table/],
  ['schema_migrations', /no table/],
  ['heartbeats', /no table/],
  ['message_log', /no table/],
  ['message_log_20260230', /no table/],
  ['message_log_99991231', /no table/],
  ['message_log_2026110', /no table/],
  [`message_log_20261101') to (now()) ; ${run} --`, /no table/],
  ['message_log_20261101\n', /no table/],
  ['import_rows_0', /no table/],
  ['import_rows_1e9', /no table/],
  ['import_rows_99999999999999999999', /no table/],
  [`import_rows_1 as select pg_read_file('/etc/passwd')`, /no table/],
  ['\u0000', /no table/],
  ['', /no table/],
  ['__proto__', /no table/],
])('the table name %j runs nothing', async (name, message) => {
  const before = await schemaOf()
  expect(
    await load([
      sample.frames[0] as Frame,
      table(name),
      makeFrame('D', Buffer.from('1\n')),
      makeFrame('E', { rows: 1 }),
    ]),
  ).toMatch(message)
  expect(await schemaOf()).toEqual(before)
  expect(existsSync(proof)).toBe(false)
})

function schemaOf() {
  return target.db.many(
    'relations',
    `select relname from pg_class where relnamespace = 'public'::regnamespace order by 1`,
  )
}

test('columns, sequences, jobs and frames that do not belong there run nothing', async () => {
  const names = sample.frames.filter(({ kind }) => kind === 'T').map(json)
  const columnsOf = (name: string): string[] => names.find((frame) => frame.name === name).columns
  const start = sample.frames[0] as Frame
  const account = columnsOf('accounts')
  const sequences = sample.frames.find(({ kind }) => kind === 'S') as Frame
  const jobs = (list: unknown) => [start, sequences, makeFrame('J', list as object)]
  const renamed = (name: string) =>
    makeFrame(
      'S',
      json(sequences).map((s: object, i: number) => (i === 0 ? { ...s, name } : s)),
    )
  const valued = (lastValue: unknown) =>
    makeFrame(
      'S',
      json(sequences).map((s: object, i: number) => (i === 0 ? { ...s, lastValue } : s)),
    )
  const cases: [Frame[], RegExp][] = [
    [[start, table('accounts', [...account.slice(1), `id) ${run}; --`])], /has no column/],
    [[start, table('accounts', [...account, 'ctid'])], /has no column/],
    [[start, table('accounts', [...account, 'id'])], /a column twice/],
    [[start, table('accounts', account), makeFrame('E', { rows: 0 }), table('accounts', account)], /"accounts" twice/],
    [[start, table('accounts', account.slice(1))], /column id of accounts is missing/],
    [[start, table('accounts', [])], /column id of accounts is missing/],
    [[start, makeFrame('T', { name: ['accounts'], columns: account })], /frame T is malformed/],
    [[start, makeFrame('T', { name: 'accounts', columns: [{ toString: 1 }] })], /frame T is malformed/],
    [[start, renamed(`x'); drop table accounts; --`)], /its sequences are not those/],
    [[start, renamed('pg_catalog.pg_class')], /its sequences are not those/],
    [[start, makeFrame('S', [])], /its sequences are not those/],
    [[start, valued('1; drop table accounts')], /frame S is malformed/],
    [[start, valued('9999999999999999999')], /out of range/],
    [jobs([{ name: `x'); ${run}`, data: {} }]), /there is no job/],
    [jobs([{ name: 'broadcasts.close-overdue', data: {} }]), /there is no job/],
    [jobs([{ name: 'imports.apply', data: { importId: '1; drop table accounts' } }]), /frame J is malformed/],
    [jobs([{ name: 'imports.apply', data: [] }]), /frame J is malformed/],
    [jobs({}), /frame J is malformed/],
    [[start, makeFrame('D', Buffer.from('1\n'))], /frame D is in the wrong place/],
    [[start, makeFrame('E', { rows: 0 })], /frame E is in the wrong place/],
    [[start, makeFrame('Z', { tables: 0, rows: 0 })], /frame Z is in the wrong place/],
    [[start, sequences, sequences], /frame S is in the wrong place/],
    [[start, sequences, table('accounts', account)], /frame T is in the wrong place/],
    [[start, start], /frame H is in the wrong place/],
    [[start, table('accounts', account), start], /frame H is in the wrong place/],
    [[start, sequences, makeFrame('Z', { tables: 0, rows: 0 })], /the table \w+ is missing/],
    [[makeFrame('H', { ...header, mode: 'production' })], /it changed while it was read/],
    [[table('accounts')], /not a backup of Carillon/],
  ]
  const before = await schemaOf()
  for (const [contents, message] of cases) expect(await load(contents)).toMatch(message)
  expect(await schemaOf()).toEqual(before)
  expect(existsSync(proof)).toBe(false)
  expect(await target.db.many('none', 'select id from accounts')).toEqual([])
})

test('rows that a table cannot have are reported with their place, and nothing remains', async () => {
  const empty = await freshDatabase('template0')
  try {
    const changed = (name: string, change: (rows: string) => string, count = 1): Frame[] => {
      const at = sample.frames.findIndex((frame) => frame.kind === 'T' && json(frame).name === name)
      const rows = change((sample.frames[at + 1] as Frame).content.toString())
      return [
        ...sample.frames.slice(0, at + 1),
        makeFrame('D', Buffer.from(rows)),
        makeFrame('E', { rows: count }),
        ...sample.frames.slice(at + 3),
      ]
    }
    const cases: [Frame[], RegExp][] = [
      [
        changed('accounts', (row) => row.replace(/^\d+/, 'one')),
        /COPY accounts, line 1, column id: invalid input syntax/,
      ],
      [changed('accounts', (row) => row.replace(/\t[^\t]*\n$/, '\n')), /COPY accounts, line 1: missing data/],
      [
        changed('accounts', (row) => `${row}\\.\n${row}`, 2),
        /accounts has 1 rows instead of 2|end-of-copy|COPY accounts/,
      ],
      [changed('accounts', (row) => row + row, 2), /duplicate key/],
      [changed('accounts', (row) => row.replace('\t', '\t\u0000')), /COPY accounts, line 1: invalid byte sequence/],
      [changed('installation', (row) => row.replace('sandbox', 'production')), /its rows are in production mode/],
      [changed('lists', (row) => row.replace(/^(\d+\t)\d+/, '$1999')), /violates foreign key constraint/],
    ]
    for (const [contents, message] of cases) {
      const file = await write(contents)
      const restored = readBackup({ databaseUrl: empty.url, file, secretKey, unsigned: true })
      await expect(restored).rejects.toThrow(message)
      const remains = /* sql */ `
        select relname::text as name from pg_class where relnamespace = 'public'::regnamespace
        union all select proname::text from pg_proc where pronamespace = 'public'::regnamespace
        union all select typname::text from pg_type where typnamespace = 'public'::regnamespace
        union all select nspname::text from pg_namespace where nspname = 'pgboss'`
      expect(await empty.db.many('remains', remains)).toEqual([])
    }
    const file = sample.path('untagged')
    writeFileSync(file, gzipSync(encodeUntagged(withDefinitions(sample.frames))))
    const restored = await readBackup({ databaseUrl: empty.url, file, secretKey, unsigned: true })
    expect(restored.signature).toBe('none')
    expect(existsSync(proof)).toBe(false)
    expect(await empty.db.many('accounts', 'select email from accounts')).toEqual(
      await sample.origin.db.many('accounts', 'select email from accounts'),
    )
  } finally {
    await empty.close()
  }
})

/** Adds statements to the frames of tables, which format 1 had and a restore ran. */
function withDefinitions(contents: Frame[]): Frame[] {
  const definition = [`create function evil() returns int language sql as 'select 1'`, `copy accounts ${run}`]
  return contents.map((frame) => (frame.kind === 'T' ? makeFrame('T', { ...json(frame), definition }) : frame))
}

test('a row that never ends is rejected after 64 MB', async () => {
  const accounts = sample.frames.find((frame) => frame.kind === 'T' && json(frame).name === 'accounts') as Frame
  const piece = makeFrame('D', Buffer.alloc(1 << 20, 'x'))
  const contents = [sample.frames[0] as Frame, accounts, ...Array.from({ length: 80 }, () => piece)]
  expect(await load(contents)).toMatch(/a row of accounts is longer than 67108864 bytes/)
})
