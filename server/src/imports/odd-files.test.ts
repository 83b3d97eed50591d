import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { useImports } from '../../test/imports-api.ts'

// Damaged and unusual files: each is read as it is meant, or rejected with what is wrong, and all rows are counted.

const ctx = useApi()
const { makeList, upload, importFile, findPeople } = useImports(ctx)

const ndjson = 'application/x-ndjson'
const csv = 'text/csv'
const bytes = (text: string, encoding: BufferEncoding = 'latin1') => Buffer.from(text, encoding)

type Counts = { added: number; skip_reasons?: Record<string, number>; warning_count?: number }

const readable: [name: string, file: string | Buffer, counts: Counts, type?: string][] = [
  ['a BOM inside the first quotes', '"\ufeffphone","first_name"\n"2065550141","Ana"\n', { added: 1 }],
  ['two BOMs', '\ufeff\ufeffphone,first_name\n2065550141,Ana\n', { added: 1 }],
  ['a BOM and sep=', '\ufeffsep=;\r\nphone;first_name\r\n2065550141;Ana\r\n', { added: 1 }],
  [
    'a BOM where two files were joined',
    'phone\n2065550141\n\ufeffphone\n2065550142\n',
    { added: 2, skip_reasons: { bad_phone: 1 } },
  ],
  ['mixed line ends', 'phone,first_name\r2065550141,Ana\r\n2065550142,Bob\n2065550143,Cleo\r', { added: 3 }],
  [
    'accents and old Macintosh line ends',
    bytes('phone,first_name\r2065550141,Zo\xeb\r2065550142,Jos\x8e\r'),
    { added: 2, warning_count: 1 },
  ],
  ['line ends in quotes', 'phone,first_name\n2065550141,"A\r\nna"\n"2065550142\n",Bob\n', { added: 2 }],
  [
    'two line ends, and a phone number in a note',
    'phone,last_name,first_name\n2065550141,"call\n206-555-0199\nor wait",Ana\n',
    { added: 1 },
  ],
  [
    'the same header where two files were joined',
    'phone,first_name\n2065550141,Ana\nphone,first_name\n2065550142,Bob\n',
    { added: 2, skip_reasons: { bad_phone: 1 } },
  ],
  [
    'types of phones in place of numbers',
    'phone,type,first_name\n2065550141,Mobile,Ana\nMobile,Cell,Bob\n',
    { added: 1, skip_reasons: { bad_phone: 1 } },
  ],
  ['a NUL in a number', 'phone\n20655\x0050141\n2065550142\n', { added: 1, skip_reasons: { bad_phone: 1 } }],
  ['gzip in a file named .csv', gzipSync('phone\n2065550141\n'), { added: 1 }],
  ['a header in capitals and blanks', ' PHONE  NUMBER ,  FIRST NAME\n2065550141,Ana\n', { added: 1 }],
  [
    'a total below the rows',
    'phone,first_name,zip\n2065550141,Ana,\nTotal: 1,,\n',
    { added: 1, skip_reasons: { bad_phone: 1 } },
  ],
  [
    'numbers that lost digits',
    'phone\n2.06555E+09\n2.065550142E+09\n2.06555014E+9\n',
    { added: 1, skip_reasons: { bad_phone: 2 } },
  ],
  [
    'errors of a spreadsheet',
    'phone,first_name\n#REF!,Ana\n2065550142,#N/A\n',
    { added: 1, skip_reasons: { bad_phone: 1 }, warning_count: 1 },
  ],
  [
    'two numbers in a cell',
    'phone\n206-555-0141 / 206-555-0142\n2065550141 ::: 2065550142\n',
    { added: 0, skip_reasons: { bad_phone: 2 } },
  ],
  [
    'numbers of other lengths',
    'phone\n206555014\n20655501411\n+442065550141\n\n',
    { added: 0, skip_reasons: { bad_phone: 3 } },
  ],
  ['only delimiters and blanks', 'phone,first_name\n,\n ,\n2065550141,\n', { added: 1 }],
  [
    'JSON numbers',
    '{"phone":2065550141}\n{"phone":12065550142}\n{"phone":206555014}\n',
    { added: 2, skip_reasons: { bad_phone: 1 } },
    ndjson,
  ],
  [
    'JSON with arrays and objects',
    '{"phone":["2065550141"]}\n{"phone":"2065550142","tags":["a"],"email":{}}\n[]\n',
    { added: 1, skip_reasons: { bad_phone: 1, not_a_json_object: 1 }, warning_count: 1 },
    ndjson,
  ],
  ['JSON with a BOM and CRLF', '\ufeff{"phone":"2065550141"}\r\n\r\n{"phone":"2065550142"}\r\n', { added: 2 }, ndjson],
  ['JSON with old Macintosh line ends', '{"phone":"2065550141"}\r{"phone":"2065550142"}\r', { added: 2 }, ndjson],
  [
    'JSON with equal keys of equal values',
    '{"phone":"2065550141","phone":"2065550141","x\\":":"1"}\n',
    { added: 1 },
    ndjson,
  ],
  [
    'JSON with equal keys, one blank',
    '{"phone":"2065550141","phone":""}\n{"phone":null , "phone" : "2065550142"}\n',
    { added: 2 },
    ndjson,
  ],
  [
    'JSON that is cut',
    '{"phone":"2065550141"}\n{"phone":"20655',
    { added: 1, skip_reasons: { not_a_json_object: 1 } },
    ndjson,
  ],
]

test.each(readable)('reads a file with %s, and counts each row', async (_name, file, counts, type = csv) => {
  const listId = await makeList()
  const view = await importFile(listId, file, { type, query: '?unknown_columns=ignore' })
  const { added, skip_reasons = {}, warning_count = 0 } = counts
  const skipped = Object.values(skip_reasons).reduce((sum, count) => sum + count, 0)
  expect(view).toMatchObject({ status: 'done', added, skip_reasons, warning_count })
  expect([view.total_rows, view.processed_rows]).toEqual([added + skipped, added + skipped])
  const people = (await findPeople(listId)).map((person) => person.slice(0, 10))
  expect(people).toHaveLength(added)
  expect(people.filter((phone) => !/^206555014[1-3]$/.test(phone))).toEqual([])
})

const pretty = JSON.stringify({ phone: '2065550141', first_name: 'Ana' }, null, 2)

const rejected: [name: string, file: string | Buffer, expected: string, type?: string][] = [
  ['UTF-16LE without a BOM', bytes('phone\n2065550141\n', 'utf16le'), 'UTF-16 text without a byte order mark'],
  ['UTF-16BE without a BOM', bytes('phone\n2065550141\n', 'utf16le').swap16(), 'UTF-16 text without a byte order mark'],
  [
    'a workbook named .csv',
    bytes('PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0[Content_Types].xml'),
    'an Excel workbook (.xlsx)',
  ],
  ['an archive named .csv', bytes('PK\x03\x04\x14\0\0\0\x08\0subscribed.csv'), 'a ZIP archive'],
  ['a PDF named .csv', bytes('%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n'), 'a PDF document'],
  ['a page of a login', '<!-- v3 -->\n<html><body>phone</body></html>', 'an HTML page'],
  ['nothing', '', 'the file is empty'],
  ['nothing but a BOM', '\ufeff', 'the file is empty'],
  ['nothing but sep=', 'sep=;\n', 'the file is empty'],
  ['nothing, in gzip', gzipSync(''), 'the file is empty'],
  ['equal names', 'phone,Note,first_name,first_name\n2065550141,,Ana,Bob\n', 'two columns for first_name'],
  ['equal names in other case', 'phone,PHONE\n2065550141,\n', 'two columns for phone_number: "phone", "PHONE"'],
  [
    'a cell of 100,000 characters',
    `phone,first_name\n2065550141,${'x'.repeat(100_000)}\n`,
    'Line 2: the line is too long',
  ],
  [
    'a quote that takes in the next rows',
    'phone,first_name\n2065550141,"Ana\n2065550142,Bob\n2065550143,"Cleo"\n',
    'Line 2: a quote that opens in this row is not closed',
  ],
  [
    'a quote that takes in half a row',
    'first_name,phone,zip\nAna,2065550141,"98101\nBob,2065550142,"98101"\n',
    'Line 2: a quote that opens in this row is not closed',
  ],
  [
    'a second table with other columns',
    'phone,opted_out,first_name\n2065550141,no,Ana\nphone,first_name,opted_out\n2065550142,,yes\n',
    'Line 3: the line is a second header with other columns',
  ],
  ['two different JSON keys', '{"phone":"2065550141","phone":"2065550142"}\n', 'two columns for phone_number', ndjson],
  [
    'two different JSON keys about consent',
    '{"phone":"2065550141","status":"unsubscribed","status":"subscribed"}\n',
    'two columns for status',
    ndjson,
  ],
  ['one JSON array', '[{"phone":"2065550141"}]', 'a JSON array', ndjson],
  ['one JSON array on several lines', '[\n  {"phone":"2065550141"}\n]', 'a JSON array', csv],
  ['JSON on several lines', pretty, 'one whole object per line', ndjson],
  ['JSON on several lines, as CSV', pretty, 'one whole object per line', csv],
  ['an error in JSON', '{"error":"Unauthorized"}', 'unknown columns "error"', csv],
]

test.each(rejected)('rejects a file with %s, and stores nothing', async (_name, file, expected, type = csv) => {
  const listId = await makeList()
  const { status, body } = await upload(listId, file, { type })
  expect([status, body.code]).toEqual([422, 'bad_import_file'])
  expect(body.error).toContain(expected)
  const { body: page } = await ctx.owner.get(`/lists/${listId}/imports`)
  expect(page.imports).toEqual([])
})

test('reads a file with 5,000 columns', async () => {
  const names = Array.from({ length: 5_000 }, (_, n) => `c${n}`)
  const listId = await makeList()
  const row = names.map(() => '1').join(',')
  const file = `${names.join(',')},phone,first_name\n${row},2065550141,Ana\n${row},12,Bob\n`
  expect(await importFile(listId, file, { query: '?unknown_columns=ignore' })).toMatchObject({ added: 1, skipped: 1 })
  expect(await findPeople(listId)).toEqual(['2065550141 Ana'])
})

test('the opt-outs of two equal JSON keys count', async () => {
  const listId = await makeList()
  const file = '{"phone":"2065550141","opted_out":true,"opted_out":false}\n'
  expect(await importFile(listId, file, { type: ndjson })).toMatchObject({ added: 1, opted_out: 1 })
})
