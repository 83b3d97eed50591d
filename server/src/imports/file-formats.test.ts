import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { useImports } from '../../test/imports-api.ts'
import { openFile } from './open-file.ts'

const ctx = useApi()
const { makeList, upload, importFile } = useImports(ctx)

async function findNames(listId: number) {
  const rows = await ctx.db.many<{ phone: number; first_name: string; last_name: string }>(
    'test_names',
    'select phone, first_name, last_name from subscribers where list_id = $1 order by phone',
    [listId],
  )
  return rows.map(({ phone, first_name, last_name }) => [phone, first_name, last_name].join(' ').trim())
}

const table = [
  ['Phone', 'First Name', 'Last Name'],
  ['2065550141', 'Zoë', 'Núñez'],
  ['2065550142', 'Bob', ''],
]
const delimited = (delimiter: string, end = '\n') => table.map((row) => row.join(delimiter)).join(end) + end
const people = ['2065550141 Zoë Núñez', '2065550142 Bob']

function utf16(text: string, littleEndian: boolean): Buffer {
  const bytes = Buffer.from(`\ufeff${text}`, 'utf16le')
  return littleEndian ? bytes : bytes.swap16()
}

const readable: [name: string, file: string | Buffer, type?: string][] = [
  ['semicolons', delimited(';')],
  ['tabs', delimited('\t', '\r\n')],
  ['pipes', delimited('|')],
  ['old Macintosh line ends', delimited(',', '\r')],
  ['sep=', `sep=;\r\n${delimited(';')}`],
  ['sep= with a delimiter of its own', `sep=~\n${delimited('~')}`],
  ['sep=,', `\ufeffsep=,\n${delimited(',')}`],
  ['quoted names with other delimiters', delimited(';').replace('First Name', '"First Name"').replace('Bob', '"Bob"')],
  ['a blank line and rows of delimiters', `\n;;\n${delimited(';')};;\n;;\n`],
  ['UTF-16, little-endian', utf16(delimited('\t', '\r\n'), true)],
  ['UTF-16, big-endian', utf16(delimited(','), false)],
  ['Windows-1252', Buffer.from(delimited(';'), 'latin1')],
  ['gzip', gzipSync(delimited(','))],
  ['gzip by its media type', gzipSync(delimited(';')), 'application/gzip'],
  ['no media type of its own', delimited(';'), 'application/octet-stream'],
  ['gzip in two members', Buffer.concat([gzipSync(delimited(',').slice(0, 30)), gzipSync(delimited(',').slice(30))])],
  ['gzip of UTF-16', gzipSync(utf16(delimited('\t'), true))],
  ['the formulas of Excel', delimited(',').replace('2065550142', '="2065550142"').replace('Bob', '="Bob"')],
]

test.each(readable)('reads a file with %s', async (_name, file, type = 'text/csv') => {
  const listId = await makeList()
  expect(await importFile(listId, file, { type })).toMatchObject({ added: 2, skipped: 0, warning_count: 0 })
  expect(await findNames(listId)).toEqual(people)
})

const objects =
  '{"phone":"2065550141","firstName":"Zoë","last-name":"Núñez"}\n{"Phone":"2065550142","first_name":"Bob"}\n'

test.each([
  ['gzip', gzipSync(objects), 'application/gzip'],
  ['UTF-16', utf16(objects, true), 'application/x-ndjson'],
  ['Windows-1252', Buffer.from(objects, 'latin1'), 'application/x-ndjson'],
  ['the media type of CSV', objects, 'text/csv'],
  ['no media type of its own', gzipSync(objects), 'application/octet-stream'],
])('reads NDJSON with %s', async (_name, file, type) => {
  const listId = await makeList()
  expect(await importFile(listId, file, { type })).toMatchObject({ added: 2, warning_count: 0 })
  expect(await findNames(listId)).toEqual(people)
})

test('reads lines of UTF-8 and of Windows-1252 in one file', async () => {
  const listId = await makeList()
  const file = Buffer.concat([
    Buffer.from('phone,name_first\n2065550141,Zoë\n'),
    Buffer.from('2065550142,Zoë\n', 'latin1'),
  ])
  await importFile(listId, file)
  expect(await findNames(listId)).toEqual(['2065550141 Zoë', '2065550142 Zoë'])
})

test.each([
  ['the Macintosh encoding', Buffer.from([0x4a, 0x6f, 0x73, 0x8e])],
  ['a code page of DOS', Buffer.from([0x4a, 0x6f, 0x73, 0x82])],
  ['Cyrillic', Buffer.from([0xc8, 0xe2, 0xe0, 0xed])],
  ['Polish', Buffer.from([0x57, 0x61, 0xb3, 0xea, 0x73, 0x61])],
  ['a byte that Windows-1252 lacks', Buffer.from([0x41, 0x81])],
])('does not guess the letters of %s, and imports the number', async (_name, name) => {
  const listId = await makeList()
  const file = Buffer.concat([Buffer.from('phone,first_name\n2065550141,'), name, Buffer.from('\n2065550142,Bob\n')])
  const view = await importFile(listId, file)
  expect(view).toMatchObject({ added: 2, warnings: [{ line: 2, column: 'first_name', reason: 'bad_first_name' }] })
  expect(await findNames(listId)).toEqual(['2065550141', '2065550142 Bob'])
})

test('leaves out a value with a NUL', async () => {
  const listId = await makeList()
  const view = await importFile(listId, 'phone,first_name\n2065550141,A\0na\n2065550142,Bob\n')
  expect(view).toMatchObject({ added: 2, warnings: [{ line: 2, column: 'first_name', value: 'Ana' }] })
  expect(await findNames(listId)).toEqual(['2065550141', '2065550142 Bob'])
})

test.each(['application/vnd.ms-excel', 'application/csv', 'text/tab-separated-values', 'TEXT/CSV; charset="UTF-16"'])(
  'reads CSV with the media type %s',
  async (type) => {
    expect(await importFile(await makeList(), 'phone\n2065550141\n', { type })).toMatchObject({ added: 1 })
  },
)

test.each(['windows-1252', 'ISO-8859-1', '"latin1"'])('reads %s that the sender states', async (charset) => {
  const listId = await makeList()
  const file = Buffer.concat([Buffer.from('phone,first_name\n2065550141,'), Buffer.from([0x8a]), Buffer.from('ana\n')])
  await importFile(listId, file, { type: `text/csv; charset=${charset}` })
  expect(await findNames(listId)).toEqual(['2065550141 Šana'])
})

test.each([
  ['br', 415],
  ['deflate', 415],
  ['gzip, br', 415],
  ['gzip', 202],
  ['Identity', 202],
])('a file with the content encoding %s is a %d', async (encoding, status) => {
  const headers = { 'content-type': 'text/csv', 'content-encoding': encoding }
  const file = encoding === 'gzip' ? gzipSync('phone\n2065550141\n') : Buffer.from('phone\n2065550141\n')
  const response = await ctx.owner.send('POST', `/lists/${await makeList()}/imports`, headers, file)
  expect(response.status).toBe(status)
})

test.each([
  ['an Excel workbook (.xlsx)', Buffer.from('PK\x03\x04\x14\0\x06\0[Content_Types].xml', 'latin1')],
  ['a ZIP archive', Buffer.from('PK\x03\x04\x14\0\x06\0contacts.csv', 'latin1')],
  ['an Excel workbook (.xls)', Buffer.from('d0cf11e0a1b11ae10000', 'hex')],
  ['a PDF document', Buffer.from('%PDF-1.7\n')],
  ['an HTML page', Buffer.from('\n<!DOCTYPE html><html><table>')],
  ['an XML document', Buffer.from('<?xml version="1.0"?>')],
  ['a vCard', Buffer.from('BEGIN:VCARD\r\n')],
  ['a JSON array', Buffer.from('[{"phone":"2065550141"}]')],
  ['compressed with Zstandard', Buffer.from('28b52ffd2400', 'hex')],
  ['compressed with gzip twice', gzipSync(gzipSync('phone\n'))],
  ['the gzip file is damaged', gzipSync(delimited(',')).subarray(0, 40)],
  ['UTF-16 text without a byte order mark', Buffer.from(delimited(','), 'utf16le')],
  ['UTF-32 text', Buffer.from('fffe000070000000', 'hex')],
  ['not a text file', Buffer.from([1, 2, 0, 3, 0, 4, 5])],
])('names a file that is %s', async (name, file) => {
  const listId = await makeList()
  const { status, body } = await upload(listId, file)
  expect([status, body.code]).toEqual([422, 'bad_import_file'])
  expect(body.error).toContain(name)
})

test('rejects a gzip file that unpacks to too much', async () => {
  async function* body() {
    yield gzipSync(Buffer.alloc(1_000_000, 'a'))
  }
  const read = async () => {
    const { bytes } = await openFile(body(), { limit: 100_000 })
    for await (const _chunk of bytes);
  }
  await expect(read()).rejects.toThrow('too large (maximum is 100000 bytes)')
})

test('skips only malformed rows, with their lines and values', async () => {
  const listId = await makeList()
  const file = [
    'first_name,phone,last_name',
    'jerry,2065550141,',
    'george,2065550142',
    'kramer,2065550143,"x, y"',
    'elaine,2065550144,b,,',
    'newman,2065550145,x, y',
    'susan,2065550146,"Ross" jr',
    '"peggy" , "2065550148" ,"" ',
    `tim,2065550147,5'2" tall`,
    'bob',
    '',
    'ann,206555014.8,',
  ].join('\n')
  expect(await importFile(listId, file)).toMatchObject({
    total_rows: 10,
    processed_rows: 10,
    added: 7,
    skips: [
      { line: 6, reason: 'too_many_cells', value: 'y' },
      { line: 10, reason: 'bad_phone', value: '' },
      { line: 12, reason: 'bad_phone', value: '206555014.8' },
    ],
  })
  expect(await findNames(listId)).toEqual([
    '2065550141 jerry',
    '2065550142 george',
    '2065550143 kramer x, y',
    '2065550144 elaine b',
    '2065550146 susan "Ross" jr',
    `2065550147 tim 5'2" tall`,
    '2065550148 peggy',
  ])
})

test('skips malformed lines of NDJSON, and leaves out values of the wrong type', async () => {
  const listId = await makeList()
  const file = [
    '{"phone":"2065550141","first_name":{"a":1}}',
    '{"phone":',
    '["2065550142"]',
    '{"phone":{"a":1}}',
    '{"phone":"2065550143","first_name":"\\ud83d","last_name":"\\u0000"}',
  ].join('\n')
  const view = await importFile(listId, file, { type: 'application/x-ndjson' })
  expect(view).toMatchObject({ total_rows: 5, added: 2, warning_count: 3 })
  expect(view.skips).toEqual([
    { line: 2, reason: 'not_a_json_object', value: '{"phone":' },
    { line: 3, reason: 'not_a_json_object', value: '["2065550142"]' },
    { line: 4, reason: 'bad_phone', value: '{"a":1}' },
  ])
  expect(view.warnings[0]).toEqual({ line: 1, column: 'first_name', reason: 'bad_first_name', value: '{"a":1}' })
  expect(await findNames(listId)).toEqual(['2065550141', '2065550143'])
})
