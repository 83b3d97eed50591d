import { expect, test } from 'vitest'
import { cpuMs } from '../../test/cpu-time.ts'
import { ColumnFinder } from './columns.ts'
import { type Reader, readCsv } from './csv-reader.ts'
import { swallowsRow } from './csv-rows.ts'
import { DateCounts } from './date-counts.ts'
import { readNdjson } from './ndjson-reader.ts'
import { StagedRows } from './staged-rows.ts'

const customFields = Array.from({ length: 200 }, (_, n) => ({
  key: `field_${n}`,
  label: `Field number ${n}`,
  contentType: 'text' as const,
  maxLength: 50,
  pattern: null,
  isEnforced: false,
  defaultValue: null,
}))
const list = (count: number, item: (n: number) => string) => Array.from({ length: count }, (_, n) => item(n))

/** Reads a whole file; returns the CPU time in ms, the rows and the error. */
async function read(file: string, open = readCsv) {
  const rows = new StagedRows({ fields: customFields, dateCounts: new DateCounts(new Date()) })
  let reader: Reader | undefined
  let error: unknown
  const before = process.threadCpuUsage()
  try {
    const sample = file.slice(0, 16_384)
    reader = open(rows, { unknownColumns: 'ignore', customFields, sample })
    for (let at = 0; at < file.length; at += 65_536) reader.stream.write(file.slice(at, at + 65_536))
    reader.stream.end()
    for await (const _ of reader.stream);
    reader.ignoredColumns()
  } catch (thrown) {
    error = reader?.faultOf(thrown) ?? thrown
  }
  const { user, system } = process.threadCpuUsage(before)
  return { ms: (user + system) / 1_000, rows, error }
}

test('a header of 12,000 names is rejected in a short time, beside 200 custom fields', async () => {
  const { ms, error } = await read(`phone,${list(12_000, (n) => `${n.toString(36)}_`).join(',')}\n2065550101\n`)
  expect(error).toMatchObject({
    status: 422,
    message: 'Line 1: the header has 12001 columns (maximum is 10000)',
  })
  expect(ms).toBeLessThan(500)
})

test('a header of 10,000 names is accepted, and blank columns behind it are not counted', async () => {
  const { error, rows } = await read(
    `phone,${list(9_999, (n) => `${n.toString(36)}_`).join(',')}${','.repeat(9_000)}\n2065550101\n`,
  )
  expect(error).toBeUndefined()
  expect(rows).toMatchObject({ total: 1, skipReasons: {} })
})

test('short rows of a wide file take little more time than those of a narrow one', async () => {
  const body = `${'2065550101\n'.repeat(20_000)}2065550102,,yes`
  const narrow = await read(`phone,dnc,dnt\n${body}`)
  const wide = await read(`phone${',dnc'.repeat(9_990)}\n${body}`)
  expect(wide.error).toBeUndefined()
  expect(wide.rows).toMatchObject({ total: 20_001, skipReasons: {} })
  expect(wide.ms).toBeLessThan(2 * narrow.ms + 200)
})

test('rows with fewer cells than the header take no more time than complete ones', async () => {
  const readRows = (row: string) => read(`phone,zip,first_name\n${`${row}\n`.repeat(20_000)}`)
  await readRows('2065550101,98101,Ana')
  const complete = await readRows('2065550101,98101,Ana')
  const short = await readRows('2065550101,98101')
  expect(short.rows).toMatchObject({ total: 20_000, skipReasons: {} })
  expect(short.ms).toBeLessThan(2 * complete.ms)
})

test('new keys in all lines take little more time than equal ones', async () => {
  const lines = (key: (n: number) => string) =>
    list(500, (n) => `{"phone":"2065550101",${list(100, (at) => `"${key(n * 100 + at)}":1`).join(',')}}`).join('\n')
  await read(
    lines(() => 'zip'),
    readNdjson,
  )
  const { ms, rows } = await read(
    lines((n) => `a${n}`),
    readNdjson,
  )
  expect(rows.total).toBe(500)
  expect(ms).toBeLessThan(1_000)
})

test('a line with more than 32 levels is skipped', async () => {
  const deep = (levels: number) => `{"phone":"2065550101","email":${'['.repeat(levels)}${']'.repeat(levels)}}`
  const { error, rows } = await read([deep(1), deep(30_000), deep(33)].join('\n'), readNdjson)
  expect(error).toBeUndefined()
  expect(rows.skips.map(({ line, reason }) => ({ line, reason }))).toEqual([
    { line: 2, reason: 'nested_too_deeply' },
    { line: 3, reason: 'nested_too_deeply' },
  ])
})

test('line ends in ten thousand cells are compared in linear time', () => {
  const cells = Array<string>(16_000).fill('\n')
  expect(cpuMs(() => swallowsRow(cells, ',', [0, 1, 2]))).toBeLessThan(200)
})

test('a column is found by its name alone in a list with 200 fields', () => {
  const finder = new ColumnFinder(customFields)
  const names = list(20_000, (n) => `name ${n}`)
  expect(cpuMs(() => names.forEach((name) => void finder.find(name)))).toBeLessThan(400)
  expect(finder.find('Field number 199')).toEqual(finder.find('field_199'))
  expect(finder.find('FIELD-NUMBER 7')).toEqual(finder.find('field_7'))
})
