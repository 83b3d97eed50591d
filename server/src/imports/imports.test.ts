import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { useImports } from '../../test/imports-api.ts'
import { make } from '../../test/make.ts'
import { drainJobs } from '../jobs/boss.ts'
import { applyImport } from './imports.jobs.ts'

const ctx = useApi()
const { makeList, upload, importFile } = useImports(ctx)

function findSubscribers(listId: number) {
  return ctx.db.many<Record<string, unknown> & { phone: number; state: string }>(
    'test_subscribers',
    'select * from subscribers where list_id = $1 order by phone',
    [listId],
  )
}

function findOpts(listId: number) {
  return ctx.db.many<Record<string, unknown>>('test_opts', 'select * from opts where list_id = $1 order by id', [
    listId,
  ])
}

async function countLeftovers() {
  const { tables, imports, jobs } = await ctx.db.one<{ tables: number; imports: number; jobs: number }>(
    'test_leftovers',
    `select (select count(*) from pg_class where relname like 'import\\_rows\\_%') as tables,
            (select count(*) from imports) as imports, (select count(*) from pgboss.job) as jobs`,
  )
  return { tables, imports, jobs }
}

test('adds the rows of a CSV file as subscribers, each with consent in the ledger', async () => {
  const listId = await makeList()
  const file = [
    'Phone Number,first_name,last_name,email,zip,birthdate,gender,tags,consented_at,consent_source,consent_text',
    '(206) 200-0101,Ana,"Lopez, Jr.",ana@example.org,98101-1234,2/29/1980,f,"vip, donor,vip",2024-05-01T10:00:00-07:00,Gala,"Text me, ""please"""',
    '+1 206 200 0102,,,,K1A 0B1,,,,,,',
  ].join('\r\n')
  const view = await importFile(listId, file, { query: '?source=Spring%20drive' })
  expect(view).toMatchObject({
    list_id: listId,
    status: 'done',
    source: 'Spring drive',
    total_rows: 2,
    processed_rows: 2,
    percent_complete: 100,
    added: 2,
    updated: 0,
    unchanged: 0,
    skipped: 0,
    skip_reasons: {},
    skips: [],
    error: null,
  })
  expect(await findSubscribers(listId)).toMatchObject([
    {
      phone: 2062000101,
      state: 'subscribed',
      first_name: 'Ana',
      last_name: 'Lopez, Jr.',
      email: 'ana@example.org',
      zip_code: '98101',
      birthdate: '19800229',
      gender: 'Female',
      tags: ['vip', 'donor'],
      opt_in_method: 'import',
      api_source: null,
    },
    { phone: 2062000102, state: 'subscribed', first_name: '', zip_code: 'K1A0B1', gender: null, tags: [] },
  ])
  const common = { account_id: ctx.owner.accountId, kind: 'opt_in', method: 'import', actor: `import:${view.id}` }
  expect(await findOpts(listId)).toMatchObject([
    {
      ...common,
      phone: 2062000101,
      source: 'Gala',
      wording: 'Text me, "please"',
      consented_at: new Date('2024-05-01T17:00:00Z'),
    },
    { ...common, phone: 2062000102, source: 'Spring drive', wording: null, consented_at: null },
  ])
  const { body } = await ctx.owner.get(`/lists/${listId}`)
  expect(body.list).toMatchObject({ counts: { subscribers: 2, unsubscribed: 0, cleaned: 0 } })
  expect(await countLeftovers()).toMatchObject({ tables: 0 })
})

test('adds the lines of an NDJSON file as subscribers', async () => {
  const listId = await makeList()
  const file = [
    '\ufeff{"phone":2062000101,"first_name":"Zoë","tags":["a","b"]}',
    '',
    '{"phone_number":"206-200-0102","zip_code":98101,"gender":null}',
    '{"phone_number":"12"}',
  ].join('\n')
  const view = await importFile(listId, file, { type: 'application/x-ndjson; charset=utf-8' })
  expect(view).toMatchObject({
    total_rows: 3,
    added: 2,
    skipped: 1,
    skips: [{ line: 4, reason: 'bad_phone', value: '12' }],
  })
  expect(await findSubscribers(listId)).toMatchObject([
    { phone: 2062000101, first_name: 'Zoë', tags: ['a', 'b'] },
    { phone: 2062000102, zip_code: '98101', gender: null },
  ])
})

test('changes nothing when the same file is imported again', async () => {
  const listId = await makeList()
  const file = 'phone,first_name,tags,gender\n2062000101,Ana,vip,F\n2062000102,Bob,,\n'
  await importFile(listId, file)
  const before = [await findSubscribers(listId), await findOpts(listId)]
  expect(await importFile(listId, file)).toMatchObject({ added: 0, updated: 0, unchanged: 2, skipped: 0 })
  expect([await findSubscribers(listId), await findOpts(listId)]).toEqual(before)
})

test('stores new values and adds tags, and a blank cell does not change its field', async () => {
  const listId = await makeList()
  await importFile(listId, 'phone,first_name,last_name,tags\n2062000101,Ana,Lopez,"a,b"\n2062000102,Bob,,\n')
  const view = await importFile(listId, 'phone,first_name,last_name,tags\n2062000101,,Smith,"b,c"\n2062000102," ",,\n')
  expect(view).toMatchObject({ updated: 1, unchanged: 1 })
  expect(await findSubscribers(listId)).toMatchObject([
    { first_name: 'Ana', last_name: 'Smith', tags: ['a', 'b', 'c'] },
    { first_name: 'Bob' },
  ])
  // a changed profile is not a new consent
  expect(await findOpts(listId)).toHaveLength(2)
})

test('applies the last row of a duplicate number and skips its other rows', async () => {
  const listId = await makeList()
  const file = 'phone,first_name\n2062000101,One\n2062000102,Bob\n(206)200-0101,Two\n2062000101,Three\n'
  expect(await importFile(listId, file)).toMatchObject({
    total_rows: 4,
    added: 2,
    skipped: 2,
    skip_reasons: { duplicate: 2 },
    skips: [
      { line: 2, reason: 'duplicate', value: '2062000101' },
      { line: 4, reason: 'duplicate', value: '2062000101' },
    ],
  })
  expect(await findSubscribers(listId)).toMatchObject([{ first_name: 'Three' }, { first_name: 'Bob' }])
})

test('keeps numbers that opted out or were cleaned, and subscribes pending numbers', async () => {
  const listId = await makeList()
  await make.subscriber(ctx.db, { listId, phone: 2062000101, state: 'unsubscribed', firstName: 'Old' })
  await make.subscriber(ctx.db, { listId, phone: 2062000102, state: 'cleaned', firstName: 'Old' })
  await make.subscriber(ctx.db, { listId, phone: 2062000103, state: 'pending', firstName: 'Old' })
  const before = await findSubscribers(listId)
  const optsBefore = (await findOpts(listId)).length
  const file = 'phone,first_name\n2062000101,New\n2062000102,New\n2062000103,\n'
  expect(await importFile(listId, file)).toMatchObject({
    added: 0,
    updated: 1,
    kept_opted_out: 1,
    skipped: 1,
    processed_rows: 3,
    skip_reasons: { cleaned: 1 },
    skips: [
      { line: 2, reason: 'opted_out', value: '2062000101' },
      { line: 3, reason: 'cleaned', value: '2062000102' },
    ],
  })
  const after = await findSubscribers(listId)
  expect(after.slice(0, 2)).toEqual(before.slice(0, 2))
  expect(after[2]).toMatchObject({ state: 'subscribed', first_name: 'Old', opt_in_requested_at: null })
  expect(await findOpts(listId)).toHaveLength(optsBefore + 1)
})

const allColumns =
  'phone_number,first_name,last_name,email,zip_code,birthdate,gender,tags,consented_at,consent_source,consent_text'
const long = 'x'.repeat(51)
const unreadable: [column: string, reason: string, value: string][] = [
  ['first_name', 'first_name_too_long', long],
  ['last_name', 'last_name_too_long', long],
  ['email', 'email_too_long', long],
  ['zip_code', 'bad_zip_code', '1234567'],
  ['birthdate', 'bad_birthdate', '19810229'],
  ['gender', 'bad_gender', 'x'],
  ['tags', 'bad_tags', 't'.repeat(256)],
  ['consented_at', 'bad_consented_at', 'yesterday'],
  ['consent_source', 'consent_source_too_long', 's'.repeat(256)],
  ['consent_text', 'consent_text_too_long', 't'.repeat(2001)],
]

function makeUnreadable(): string {
  const names = allColumns.split(',')
  const rows = unreadable.map(([column, , value], index) =>
    names.map((name) => (name === 'phone_number' ? 2062000101 + index : name === column ? value : '')).join(','),
  )
  return [allColumns, ...rows].join('\n')
}

test('leaves out a value that cannot be read, with a warning, and imports the person', async () => {
  const listId = await makeList()
  const view = await importFile(listId, makeUnreadable())
  expect(view).toMatchObject({ status: 'done', added: 10, skipped: 0, skips: [], warning_count: 10 })
  expect(view.warnings).toEqual(
    unreadable.map(([column, reason, value], index) => ({
      line: index + 2,
      column,
      reason,
      value: value.length > 100 ? `${value.slice(0, 100)}…` : value,
    })),
  )
})

test('skips rows with an unreadable value if the list requires it', async () => {
  const listId = await makeList()
  const changed = await ctx.owner.put(`/lists/${listId}`, { list: { reject_unreadable_values: true } })
  expect(changed.body.list).toMatchObject({ reject_unreadable_values: true })
  const view = await importFile(listId, `${makeUnreadable()}\n12,,,,,,,,,,\n`)
  expect(view).toMatchObject({ added: 0, total_rows: 11, skipped: 11, warning_count: 0, warnings: [] })
  expect(view.skips.map(({ reason }) => reason)).toEqual([...unreadable.map(([, reason]) => reason), 'bad_phone'])
})

test('counts all warnings and lists the first thousand', async () => {
  const listId = await makeList()
  const rows = Array.from({ length: 1_200 }, (_, index) => `${2062000101 + index},U,0000-00-00`)
  const view = await importFile(listId, `phone,gender,dob\n${rows.join('\n')}\n`)
  expect(view).toMatchObject({ added: 1_200, warning_count: 2_400 })
  expect(view.warnings).toHaveLength(1_000)
  expect(view.warnings[1]).toEqual({ line: 2, column: 'gender', reason: 'bad_gender', value: 'U' })
})

test('reads a number with a decimal point by its integer part, in files, bodies and paths', async () => {
  const listId = await makeList()
  const file = 'phone\n2065550141.0\n206555014.0\n2.065550142E+09\n2.06555E+09\n206\u2212555\u22120143\n'
  expect(await importFile(listId, file)).toMatchObject({ added: 3, skip_reasons: { bad_phone: 2 } })
  expect((await findSubscribers(listId)).map(({ phone }) => phone)).toEqual([2065550141, 2065550142, 2065550143])
  const add = (phone_number: unknown) =>
    ctx.owner.post(`/lists/${listId}/subscribers`, { subscriber: { phone_number } })
  expect((await add('206555014.1')).status).toBe(422)
  expect((await add('2065550141.0')).status).toBe(200)
  const statuses = ['2065550141.0', '0012065550141', '206555014.1', '206555014.10'].map(
    async (path) => (await ctx.owner.get(`/lists/${listId}/subscribers/${path}`)).status,
  )
  expect(await Promise.all(statuses)).toEqual([200, 200, 404, 404])
})

test('shows the first thousand skipped rows of all reasons, and counts all of them', async () => {
  const listId = await makeList()
  const lines = Array.from({ length: 1_500 }, (_, index) => (index % 2 === 0 ? '12' : '2062000101'))
  const view = await importFile(listId, `phone\n${lines.join('\n')}\n`)
  expect(view).toMatchObject({ added: 1, skipped: 1_499, skip_reasons: { bad_phone: 750, duplicate: 749 } })
  expect(view.skips).toHaveLength(1_000)
  expect(view.skips.map((skip) => skip.line)).toEqual(Array.from({ length: 1_000 }, (_, index) => index + 2))
})

test('rejects an unknown column by name, or ignores it on request', async () => {
  const listId = await makeList()
  const file = 'id,phone,Favorite color\n1,2062000101,"red\nand blue"\n2,2062000102,red\n3,12,\n'
  const rejected = await upload(listId, file)
  expect(rejected.status).toBe(422)
  expect(rejected.body.error).toContain('"id", "Favorite color"')
  const view = await importFile(listId, file, { query: '?unknown_columns=ignore' })
  expect(view).toMatchObject({ added: 2, ignored_columns: ['id', 'Favorite color'], skips: [{ line: 5 }] })
  expect((await upload(listId, file, { query: '?unknown_columns=maybe' })).status).toBe(422)
})

test('accepts a file with only a header', async () => {
  const listId = await makeList()
  expect(await importFile(listId, 'phone,first_name\r\n')).toMatchObject({ status: 'done', total_rows: 0, added: 0 })
})

const phone = '2062000101'

test('responds 404 to another account', async () => {
  const listId = await makeList()
  const view = await importFile(listId, `phone\n${phone}\n`)
  const responses = [
    await upload(listId, `phone\n${phone}\n`, { as: 'stranger' }),
    await ctx.stranger.get(`/lists/${listId}/imports`),
    await ctx.stranger.get(`/lists/${listId}/imports/${view.id}`),
  ]
  for (const { status, body } of responses) expect([status, body.error]).toEqual([404, 'List not found'])
  const other = await makeList()
  const missing = await ctx.owner.get(`/lists/${other}/imports/${view.id}`)
  expect([missing.status, missing.body.error]).toEqual([404, 'Import not found'])
})

test('lists imports by page, latest first', async () => {
  const listId = await makeList()
  const first = await importFile(listId, `phone\n${phone}\n`)
  const second = await importFile(listId, `phone\n${phone}\n`)
  const { body } = await ctx.owner.get(`/lists/${listId}/imports?per_page=1`)
  expect(body).toMatchObject({ status: 'OK', per_page: 1, count: 2, page: 1, pages_count: 2 })
  expect(body.imports).toMatchObject([{ id: second.id }])
  const { body: next } = await ctx.owner.get(`/lists/${listId}/imports?per_page=1&page=2`)
  expect(next.imports).toMatchObject([{ id: first.id }])
})

test('fails with a reason when the list is deleted before the import is applied', async () => {
  const listId = await makeList()
  const queued = await upload(listId, `phone\n${phone}\n`)
  await ctx.db.exec('delete_list', 'update lists set deleted_at = now() where id = $1', [listId])
  await drainJobs(ctx.rt, [applyImport])
  const row = await ctx.db.one('ended', 'select status, error from imports where id = $1', [
    (queued.body.import as { id: number }).id,
  ])
  expect(row).toEqual({ status: 'failed', error: 'the list was deleted' })
  expect(await findSubscribers(listId)).toEqual([])
  expect(await countLeftovers()).toMatchObject({ tables: 0 })
})
