import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AppError } from '../errors.ts'
import { readCsv } from './csv-reader.ts'
import { DateCounts } from './date-counts.ts'
import { readNdjson } from './ndjson-reader.ts'
import { openFile } from './open-file.ts'
import { StagedRows } from './staged-rows.ts'

/** Returns the staged rows as [line, phone, first name, last name], with COPY's escapes decoded. */
async function read(reader: typeof readCsv, file: Buffer, cuts: number[] = []) {
  const rows = new StagedRows()
  const { stream } = reader(rows, { unknownColumns: 'reject' })
  const bounds = [0, ...cuts.map((cut) => cut % (file.length + 1)).sort((a, b) => a - b), file.length]
  const chunks = bounds.slice(1).map((end, index) => file.subarray(bounds[index], end))
  const blocks: string[] = []
  await pipeline(Readable.from(chunks, { objectMode: false }), stream, async (source: AsyncIterable<string>) => {
    for await (const block of source) blocks.push(block)
  })
  blocks.push(rows.rest())
  const lines = blocks.join('').split('\n').slice(0, -1)
  return lines.map((line) => {
    const [number, ...values] = line.split('\t').slice(0, 4).map(unescapeCopy)
    return [Number(number), ...values]
  })
}

const unescaped: Record<string, string> = { '\\\\': '\\', '\\t': '\t', '\\n': '\n', '\\r': '\r' }

function unescapeCopy(text: string): string | null {
  return text === '\\N' ? null : text.replace(/\\[\\tnr]/g, (pair) => unescaped[pair] ?? '')
}

const phone = '2062000101'
const lineEnd = fc.constantFrom('\n', '\r\n', '\r')
// a cell whose content has quotes around it and blanks after them cannot be told from a quoted cell before blanks
const cell = fc
  .string({
    unit: fc.constantFrom('a', 'é', '🙏', '"', ',', ' ', '\\', '\t', '\n', '\r\n', '\r'),
    maxLength: 12,
  })
  .filter((text) => !/^".*"\s+$/s.test(text))
const row = fc.record({
  first: cell,
  last: cell,
  alwaysQuote: fc.boolean(),
  end: lineEnd,
  blanksBefore: fc.array(fc.tuple(fc.constantFrom('', ' ', '\t'), lineEnd), { maxLength: 2 }),
})

function writeCell(text: string, alwaysQuote: boolean): string {
  return alwaysQuote || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

const countLines = (text: string) => text.split(/\r\n|\n|\r/).length - 1

test('reads any CSV, split into any chunks, as it was written, with the first line of each row', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 6 }),
      fc.boolean(),
      fc.boolean(),
      async (rows, cuts, bom, lastEnd) => {
        let file = `${bom ? '\ufeff' : ''}phone,first_name,last_name\r\n`
        const expected = rows.map(({ first, last, alwaysQuote, end, blanksBefore }, index) => {
          // an adjacent CR and LF are one line end
          for (const [blank, blankEnd] of blanksBefore) {
            file += blank === '' && file.endsWith('\r') && blankEnd === '\n' ? ` ${blankEnd}` : blank + blankEnd
          }
          const line = countLines(file) + 1
          file += [phone, writeCell(first, alwaysQuote), writeCell(last, alwaysQuote)].join(',')
          if (lastEnd || index < rows.length - 1) file += end
          return [line, phone, first.trim() || null, last.trim() || null]
        })
        expect(await read(readCsv, Buffer.from(file), cuts)).toEqual(expected)
      },
    ),
    { numRuns: 500 },
  )
})

test('reads any NDJSON, split into any chunks, as it was written', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({ first: cell, last: fc.option(cell), blank: fc.boolean(), end: fc.constantFrom('\n', '\r\n') }),
      ),
      fc.array(fc.nat(), { maxLength: 6 }),
      fc.boolean(),
      async (rows, cuts, bom) => {
        let file = bom ? '\ufeff' : ''
        const expected = rows.map(({ first, last, blank, end }) => {
          if (blank) file += end
          const line = countLines(file) + 1
          file += JSON.stringify({ phone, first_name: first, last_name: last }) + end
          return [line, phone, first.trim() || null, last?.trim() || null]
        })
        expect(await read(readNdjson, Buffer.from(file), cuts)).toEqual(expected)
      },
    ),
    { numRuns: 200 },
  )
})

// pieces of files; the last ones are bytes that are not UTF-8
const pieces = [
  ...[
    'phone',
    'status',
    'opted_out',
    'birthday',
    'Unnamed: 0',
    '',
    'Contacts exported 11/02/2026',
    'STOP',
    'yes',
    '19045',
  ],
  ...['2065550141', '2065550142.0', '2.06E9', ' ', '="', "'", '#N/A', '\ufeff', '\0', '🙏', '\ud83d', 'sep=;'],
  ...['{"phone":"2065550141"}', '{"phone":2.06e9,"phone":null}', '{', '}', '[', ']', '"phone":', 'null', '\\', '\\"'],
].map((text) => Buffer.from(text))
const piece = fc.constantFrom(...pieces, Buffer.from([0x8e]), Buffer.from([0xe9]))
const mark = fc.constantFrom(',', ',', ';', '\t', '|', '"', '\n', '\n', '\r\n', '\r').map((text) => Buffer.from(text))

test('reads any file or rejects it with a reason, and counts each row once', async () => {
  const rules = { fields: [], dateCounts: new DateCounts(new Date('2026-11-02T10:00:00Z')) }
  const readFile = async (file: Buffer, reader: typeof readCsv, unknownColumns: 'reject' | 'ignore') => {
    const rows = new StagedRows(rules)
    async function* body() {
      yield file
    }
    const { sample, bytes } = await openFile(body())
    const { stream, ignoredColumns, faultOf } = reader(rows, { unknownColumns, sample, dateCounts: rules.dateCounts })
    let staged = ''
    try {
      await pipeline(Readable.from(bytes, { objectMode: false }), stream, async (blocks: AsyncIterable<string>) => {
        for await (const block of blocks) staged += block
      })
    } catch (error) {
      throw faultOf(error)
    }
    ignoredColumns()
    staged += rows.rest()
    const skipped = Object.values(rows.skipReasons).reduce((sum, count) => sum + count, 0)
    expect(staged.split('\n').length - 1 + skipped).toBe(rows.total)
    const phones = staged.split('\n').map((line) => line.split('\t')[1])
    expect(phones.filter((phone) => phone && !/^206555014[12]$/.test(phone))).toEqual([])
  }
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(piece, mark), { maxLength: 40 }),
      fc.constantFrom(readCsv, readNdjson),
      fc.constantFrom('reject' as const, 'ignore' as const),
      fc.constantFrom('', 'phone,status\n', 'phone;;birthday\r\n', '{"phone":"2065550141"}\n'),
      async (parts, reader, unknownColumns, start) => {
        try {
          await readFile(Buffer.concat([Buffer.from(start), ...parts.flat()]), reader, unknownColumns)
        } catch (error) {
          if (!(error instanceof AppError)) throw error
          expect([error.status, error.code]).toEqual([422, 'bad_import_file'])
        }
      },
    ),
    { numRuns: 2_000 },
  )
})
