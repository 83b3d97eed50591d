import type { Duplex } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { errors } from '../errors.ts'
import { ColumnFinder, type ColumnMapping, type FieldColumn } from './columns.ts'
import { cellsOf, leftOutOf, plainText, swallowsRow } from './csv-rows.ts'
import type { DateCounts } from './date-counts.ts'
import { detectDelimiter, findWideHeader, headerRows, splitRows, statedDelimiter } from './delimiters.ts'
import { type Header, HeaderSearch, isOtherHeader, isPhone } from './header.ts'
import type { StagedRows } from './staged-rows.ts'

/** Maximum length of a line, in characters. No real row is longer, but after a missing quote the rest of the file is one row. */
export const longestLine = 65_536

export type ReaderOptions = {
  unknownColumns: 'reject' | 'ignore'
  /** The custom fields of the list, each of which may have a column. */
  customFields?: readonly FieldColumn[]
  /** The meaning of columns that the caller states. */
  columns?: ColumnMapping | undefined
  /** The beginning of the file, from which the delimiter is detected; without it, the delimiter is a comma. */
  sample?: string
  dateCounts?: DateCounts
}

/** Converts the bytes of a file in UTF-8 to blocks for COPY; fails at the first error that concerns the whole file. */
export type Reader = {
  stream: Duplex
  ignoredColumns(): string[]
  /** Converts an error of the parser to the error that the caller receives. */
  faultOf(error: unknown): unknown
}

/** Reads CSV with a header line (RFC 4180, with any line ends, the usual delimiters and an optional BOM). */
export function readCsv(rows: StagedRows, options: ReaderOptions): Reader {
  const { customFields = [], sample = '' } = options
  const finder = new ColumnFinder(customFields, options.columns)
  const isKnown = (name: string) => finder.find(name) !== 'unknown' && name.trim() !== ''
  const isPhoneName = (name: string) => isPhone(finder.find(name))
  const delimiter = detectDelimiter(sample, isKnown, isPhoneName)
  const firstRows = splitRows(sample, delimiter, headerRows)
  const isWide = findWideHeader(firstRows, isPhoneName) >= 0
  const search = new HeaderSearch({ finder, isWide, unknownColumns: options.unknownColumns, fields: customFields })
  let header: Header | undefined
  let phone = 0
  // csv-parse counts a CRLF inside a quoted field as two lines; this is the number of lines that it counted too many
  let excessLines = 0
  let line = 0

  const stream = parse({
    bom: true,
    // not rtrim: it makes text after a closing quote an error
    ltrim: true,
    delimiter,
    // on_record skips blank lines, not the parser, because the line number of the next row depends on them
    relax_column_count: true,
    // a quote inside a field is a part of its text, as in 5'2" or in Excel's ="0123"
    relax_quotes: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    max_record_size: longestLine,
    on_record: (fields: string[], { lines }) => {
      // without a first record, the library does not make an error, with a stack trace, for each row of another length
      ;(stream.info as { records: number }).records = 0
      const fileLines = lines - excessLines
      let inside = 0
      // only a record that ends more than one line after the previous record can contain line ends
      if (fileLines > line + 1) {
        for (const field of fields) {
          const crlf = field.split('\r\n').length - 1
          excessLines += crlf
          inside += field.split(/\r\n|\n|\r/).length - 1 + crlf
        }
      }
      const first = fileLines - inside
      line = lines - excessLines
      if (fields.length === 1 && fields[0] === '') return null
      if (!header) {
        if (first === 1 && statedDelimiter.test(fields.join(''))) return null
        if (isBlank(fields, 0)) return null
        header = search.add(first, fields.map(plainText))
        phone = header?.indexes.indexOf(0) ?? 0
        if (header && options.dateCounts) observe(header, splitRows(sample, delimiter, Infinity), options.dateCounts)
        return null
      }
      const { indexes } = header
      if (beginsWithLetter(fields[phone]) && isOtherHeader(fields, header, finder)) {
        throw errors.badImportFile(first, 'the line is a second header with other columns; each file has one')
      }
      if (inside > 0 && swallowsRow(fields, delimiter, indexes)) throw errors.badImportFile(first, openQuote)
      if (fields.length > indexes.length && !isBlank(fields, indexes.length)) {
        rows.skip(first, 'too_many_cells', fields.slice(indexes.length).join(delimiter))
        return null
      }
      const cells = cellsOf(fields, header)
      // spreadsheets write rows of delimiters below the last one
      if (fields[0] === '' && isBlank(fields, 0)) return null
      const leftOut = header.unnamed.length === 0 ? undefined : leftOutOf(fields, header.unnamed)
      if (typeof leftOut === 'string') {
        rows.skip(first, 'unknown_consent_state', leftOut)
        return null
      }
      const block = rows.add(first, cells, leftOut)
      // pushed, because csv-parse would treat a returned value as a record
      if (block) stream.push(block)
      return null
    },
  })

  return {
    stream,
    ignoredColumns() {
      return (header ?? search.end()).ignored
    },
    faultOf: (error) => (error instanceof CsvError ? faultOf(error, line + 1) : error),
  }
}

const letterA = 'A'.charCodeAt(0)

function beginsWithLetter(text: string | undefined): boolean {
  return text !== undefined && text.charCodeAt(0) >= letterA
}

function isBlank(fields: string[], from: number): boolean {
  for (let index = from; index < fields.length; index++) if (fields[index] !== '') return false
  return true
}

const openQuote = 'a quote that opens in this row is not closed'

/** Notes the numbers in the first rows below the header, so that only a column of nothing but day counts is one of dates. */
function observe({ indexes }: Header, sampleRows: string[][], dateCounts: DateCounts) {
  const phone = indexes.indexOf(0)
  const from = sampleRows.findIndex((row) => indexes.length <= row.length && !/\d/.test(row[phone] ?? '')) + 1
  // the last row may be incomplete
  for (const row of sampleRows.slice(from, -1)) {
    for (const [at, index] of indexes.entries()) {
      if (index !== undefined && index > 0) dateCounts.observe(index, (row[at] ?? '').trim())
    }
  }
}

/** Replaces the library's messages, which quote the row and thus a phone number. `line` is the row's first line. */
function faultOf(error: CsvError, line: number) {
  switch (error.code) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return errors.badImportFile(line, openQuote)
    case 'CSV_MAX_RECORD_SIZE':
      return errors.badImportFile(line, `the line is too long (maximum is ${longestLine} characters)`)
    default:
      return errors.badImportFile(line, 'the line cannot be parsed')
  }
}
