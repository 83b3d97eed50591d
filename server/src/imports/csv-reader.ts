import type { Duplex } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { errors } from '../errors.ts'
import { type FieldColumn, type Header, readHeader } from './columns.ts'
import type { StagedRows } from './staged-rows.ts'

/** The longest line we take, in characters; nobody's row is longer, and a lost quote would swallow the file. */
export const longestLine = 65_536

export type ReaderOptions = {
  unknownColumns: 'refuse' | 'ignore'
  /** Those of the list, which have columns of their own. */
  customFields?: readonly FieldColumn[]
}

/** A reader turns the bytes of a file into blocks for COPY, and throws at the first fault of the file's form. */
export type Reader = {
  stream: Duplex
  ignoredColumns(): string[]
  /** What the reader's own error means to the caller. */
  faultOf(error: unknown): unknown
}

/** Reads CSV (RFC 4180, any line ends, a BOM tolerated) whose first line names the columns. */
export function readCsv(rows: StagedRows, options: ReaderOptions): Reader {
  let header: Header | undefined
  // csv-parse takes the CR and the LF inside a quoted field for two lines
  let tooMany = 0
  let line = 0

  const stream = parse({
    bom: true,
    trim: true,
    // blank lines come as one empty field, and are ours to skip: only so we know where the next row begins
    relax_column_count: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    max_record_size: longestLine,
    on_record: (fields: string[], { lines }) => {
      const fileLines = lines - tooMany
      let inside = 0
      // only a record that ends more than a line below the last one can have line ends inside
      if (fileLines > line + 1) {
        for (const field of fields) {
          const crlf = field.split('\r\n').length - 1
          tooMany += crlf
          inside += field.split(/\r\n|\n|\r/).length - 1 + crlf
        }
      }
      const first = fileLines - inside
      line = lines - tooMany
      if (fields.length === 1 && fields[0] === '') return null
      if (!header) {
        header = readHeader(first, fields, options.unknownColumns, options.customFields ?? [])
        return null
      }
      if (fields.length !== header.places.length) {
        throw errors.badImportFile(first, 'the number of fields differs from the header')
      }
      const cells: string[] = []
      for (const [index, place] of header.places.entries()) {
        if (place !== undefined) cells[place] = fields[index] ?? ''
      }
      const block = rows.add(first, cells)
      // pushed, because what is returned has to be another record
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

/** The library's messages quote the row, and a row is somebody's phone number. The line is where the row begins. */
function faultOf(error: CsvError, line: number) {
  switch (error.code) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return errors.badImportFile(line, 'a quote that opens in this row is never closed')
    case 'CSV_INVALID_CLOSING_QUOTE':
      return errors.badImportFile(line, 'there is text behind a closing quote')
    case 'INVALID_OPENING_QUOTE':
      return errors.badImportFile(line, 'there is a quote inside an unquoted field')
    case 'CSV_MAX_RECORD_SIZE':
      return errors.badImportFile(line, `the line is too long (maximum is ${longestLine} characters)`)
    default:
      return errors.badImportFile(line, 'the line cannot be read')
  }
}
