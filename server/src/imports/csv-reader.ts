import type { Duplex } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { errors } from '../errors.ts'
import { ColumnFinder, type ColumnMapping, type FieldColumn, type Header, readHeader } from './columns.ts'
import { joinFlags } from './consent-state.ts'
import { detectDelimiter, statedDelimiter } from './delimiters.ts'
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
  const delimiter = detectDelimiter(sample, (name) => finder.find(name) !== 'unknown' && name.trim() !== '')
  let header: Header | undefined
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
        header = readHeader(first, fields.map(plainText), finder, options.unknownColumns, customFields)
        return null
      }
      const { indexes } = header
      if (fields.length > indexes.length && !isBlank(fields, indexes.length)) {
        rows.skip(first, 'too_many_cells', fields.slice(indexes.length).join(delimiter))
        return null
      }
      const cells: string[] = []
      for (const [index, column] of indexes.entries()) {
        if (column === undefined) continue
        const text = plainText(fields[index] ?? '')
        cells[column] = cells[column] === undefined ? text : joinFlags(cells[column], text)
      }
      // spreadsheets write rows of delimiters below the last one
      if (fields[0] === '' && isBlank(fields, 0)) return null
      const block = rows.add(first, cells)
      // pushed, because csv-parse would treat a returned value as a record
      if (block) stream.push(block)
      return null
    },
  })

  return {
    stream,
    ignoredColumns() {
      if (!header) throw errors.badImportFile(1, 'the file is empty')
      return header.ignored
    },
    faultOf: (error) => (error instanceof CsvError ? faultOf(error, line + 1) : error),
  }
}

function isBlank(fields: string[], from: number): boolean {
  for (let index = from; index < fields.length; index++) if (fields[index] !== '') return false
  return true
}

const equals = '='.charCodeAt(0)
const quote = '"'.charCodeAt(0)

/** Returns the text of Excel's formula ="…", with which exports keep leading zeros, and of a quoted cell before blanks. */
function plainText(field: string): string {
  const first = field.charCodeAt(0)
  if (first !== equals && first !== quote) return field
  const formula = first === equals ? /^="(.*)"\s*$/s.exec(field)?.[1] : undefined
  if (formula !== undefined) return formula.replaceAll('""', '"')
  // relax_quotes returns a quoted cell with its quotes if blanks follow it
  return /^"(.*)"\s+$/s.exec(field)?.[1] ?? field
}

/** Replaces the library's messages, which quote the row and thus a phone number. `line` is the row's first line. */
function faultOf(error: CsvError, line: number) {
  switch (error.code) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return errors.badImportFile(line, 'a quote that opens in this row is not closed')
    case 'CSV_MAX_RECORD_SIZE':
      return errors.badImportFile(line, `the line is too long (maximum is ${longestLine} characters)`)
    default:
      return errors.badImportFile(line, 'the line cannot be parsed')
  }
}
