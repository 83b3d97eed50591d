import { expect, test } from 'vitest'
import { type ApiResponse, useApi } from '../../test/api.ts'
import { useImports } from '../../test/imports-api.ts'

const ctx = useApi()
const { makeList, upload } = useImports(ctx)

async function countLeftovers() {
  const { tables, imports, jobs } = await ctx.db.one<{ tables: number; imports: number; jobs: number }>(
    'test_leftovers',
    `select (select count(*) from pg_class where relname like 'import\\_rows\\_%') as tables,
            (select count(*) from imports) as imports, (select count(*) from pgboss.job) as jobs`,
  )
  return { tables, imports, jobs }
}

const phone = '2062000101'
const csvFaults: [name: string, file: string, line: number, expected: string][] = [
  ['no phone column', 'first_name\nAna\n', 1, 'phone_number'],
  ['two phone columns', `phone,mobile\n${phone},${phone}\n`, 1, 'two columns for phone_number: "phone", "mobile"'],
  ['no header', `${phone},Ana\n`, 1, 'not a header'],
  ['empty file', '', 1, 'empty'],
  ['blank lines only', '\n\n', 1, 'empty'],
  ['a quote never closed', `phone,first_name\n${phone},Ana\n\n${phone},"Bob\n1\n2\n3\n`, 4, 'not closed'],
  ['a line of 10 MB', `phone,first_name\n${phone},${'x'.repeat(10_000_000)}\n`, 2, 'too long'],
  ['a header of 10 MB', `phone,${'x'.repeat(10_000_000)}\n`, 1, 'too long'],
  ['NUL in an ignored column of the header', `phone,${'x'.repeat(17_000)}\0\n`, 1, 'unknown columns'],
]
const ndjsonFaults: typeof csvFaults = [
  ['empty file', '', 1, 'empty'],
  ['bad JSON in the first line', `{"phone":\n{"phone":"${phone}"}\n`, 1, 'not a JSON object'],
  ['one array', `[\n{"phone":"${phone}"}\n]\n`, 1, 'JSON array'],
  ['null', 'null', 1, 'not a JSON object'],
  ['an unknown key', `{"phone":"${phone}","color":"red"}`, 1, '"color"'],
  ['two phone numbers', `{"phone":"${phone}"}\n{"phone":"${phone}","mobile":"2062000102"}`, 2, '"phone", "mobile"'],
  ['a line of 10 MB', `{"phone":"${'1'.repeat(10_000_000)}"}`, 1, 'too long'],
]

function expectFault({ status, body, text }: ApiResponse, line: number, expected: string) {
  expect([status, body.status, body.code]).toEqual([422, 'error', 'bad_import_file'])
  expect(body.error).toContain(`Line ${line}: `)
  expect(body.error).toContain(expected)
  expect(body.details).toEqual({ line: [String(line)] })
  expect(text).not.toContain(phone)
}

test.each(csvFaults)('rejects a malformed CSV file and stores nothing: %s', async (_name, file, line, expected) => {
  const listId = await makeList()
  expectFault(await upload(listId, file), line, expected)
  expect(await countLeftovers()).toEqual({ tables: 0, imports: 0, jobs: 0 })
})

test.each(ndjsonFaults)(
  'rejects a malformed NDJSON file and stores nothing: %s',
  async (_name, file, line, expected) => {
    const listId = await makeList()
    expectFault(await upload(listId, file, { type: 'application/x-ndjson' }), line, expected)
    expect(await countLeftovers()).toEqual({ tables: 0, imports: 0, jobs: 0 })
  },
)

test.each(['application/json', 'text/plain', 'multipart/form-data; boundary=x', 'text/csv; charset=iso-8859-15'])(
  'rejects the content type %s',
  async (type) => {
    const response = await upload(await makeList(), `phone\n${phone}\n`, { type })
    expect([response.status, response.body.code]).toEqual([415, 'unsupported_media_type'])
  },
)
