import type { Duplex } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { errors } from '../errors.ts'
import { type FieldColumn, type Header, readHeader } from './columns.ts'
import type { StagedRows } from './staged-rows.ts'

/** Maximum length of a line, in characters. No real row is longer, but after a missing quote the rest of the file is one row. */
export const longestLine = 65_536

export type ReaderOptions = {
  unknownColumns: 'reject' | 'ignore'
  /** The custom fields of the list, each of which may have a column. */
  customFields?: readonly FieldColumn[]
}

/** Converts the bytes of a file to blocks for COPY; fails at the first syntax error. */
export type Reader = {
  stream: Duplex
  ignoredColumns(): string[]
  /** Converts an error of the parser to the error that the caller receives. */
  faultOf(error: unknown): unknown
}

/** Reads CSV with a header line (RFC 4180, with any line ends and an optional BOM). */
export function readCsv(rows: StagedRows, options: ReaderOptions): Reader {
  let header: Header | undefined
  // csv-parse counts a CRLF inside a quoted field as two lines; this is the number of lines that it counted too many
  let excessLines = 0
  let line = 0

  const stream = parse({
    bom: true,
    trim: true,
    // on_record skips blank lines, not the parser, because the line number of the next row depends on them
    relax_column_count: true,
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
        header = readHeader(first, fields, options.unknownColumns, options.customFields ?? [])
        return null
      }
      if (fields.length !== header.indexes.length) {
        throw errors.badImportFile(first, 'the number of fields differs from the header')
      }
      const cells: string[] = []
      for (const [index, column] of header.indexes.entries()) {
        if (column !== undefined) cells[column] = fields[index] ?? ''
      }
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

/** Replaces the library's messages, which quote the row and thus a phone number. `line` is the row's first line. */
function faultOf(error: CsvError, line: number) {
  switch (error.code) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return errors.badImportFile(line, 'a quote that opens in this row is not closed')
    case 'CSV_INVALID_CLOSING_QUOTE':
      return errors.badImportFile(line, 'there is text after a closing quote')
    case 'INVALID_OPENING_QUOTE':
      return errors.badImportFile(line, 'there is a quote inside an unquoted field')
    case 'CSV_MAX_RECORD_SIZE':
      return errors.badImportFile(line, `the line is too long (maximum is ${longestLine} characters)`)
    default:
      return errors.badImportFile(line, 'the line cannot be parsed')
  }
}
