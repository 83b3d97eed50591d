import { Transform } from 'node:stream'
import { errors } from '../errors.ts'
import { isDeepJson } from '../lib/json-levels.ts'
import { columns, storedColumns } from './column-names.ts'
import { ColumnFinder, columnNames, type Meaning, rejectUnknown, repeatedColumn, several } from './columns.ts'
import { joinFlags, statesConsent } from './consent-state.ts'
import { longestLine, type Reader, type ReaderOptions } from './csv-reader.ts'
import { parseEntries } from './json-lines.ts'
import type { Cells } from './rows.ts'
import type { StagedRows } from './staged-rows.ts'

const newline = 0x0a
const carriageReturn = 0x0d

/** Reads one JSON object per line; ignores blank lines and a BOM. A line that is not an object is skipped. */
export function readNdjson(rows: StagedRows, options: ReaderOptions): Reader {
  const utf8 = new TextDecoder('utf-8')
  const { customFields = [] } = options
  const finder = new ColumnFinder(customFields, options.columns)
  const names = columnNames(customFields)
  const ignored = new Set<string>()
  // a line without this key says as little about the consent as a blank cell does
  let hasOptedIn = hasKey(options.sample ?? '', (name) => isOptedIn(finder.find(name)))
  let line = 0
  let isEmpty = true
  let partialLine: Buffer = Buffer.alloc(0)

  const { sample = '' } = options
  // a file of an old Macintosh has no other line end
  const lineEnd = !sample.includes('\n') && sample.includes('\r') ? carriageReturn : newline

  const addLine = (bytes: Buffer): string | null => {
    line++
    if (bytes.length > longestLine) throw tooLong(line)
    const text = utf8.decode(bytes).trim()
    if (text === '') return null
    if (isDeepJson(text)) {
      rows.skip(line, 'nested_too_deeply', text)
      return null
    }
    const entries = parseEntries(text)
    if (entries === undefined) {
      // a file in another format, such as one JSON array, would be skipped line by line
      if (isEmpty)
        throw errors.badImportFile(line, 'the line is not a JSON object; NDJSON has one whole object per line')
      rows.skip(line, 'not_a_json_object', text)
      return null
    }
    isEmpty = false
    return rows.add(line, cellsOf(entries))
  }
  const cellsOf = (entries: [string, unknown][]): Cells => {
    const cells: string[] = []
    const keys: string[] = []
    const ranks: number[] = []
    const add = (index: number, rank: number, name: string, text: string) => {
      const other = cells[index]
      if (other !== undefined && index === several) {
        cells[index] = joinFlags(other, text)
        return
      }
      // of several keys for one value, the only one that is filled counts
      if (other !== undefined && (text.trim() === '' || rank > (ranks[index] ?? 0))) return
      if (other !== undefined && other.trim() !== '' && other !== text && rank === ranks[index]) {
        throw repeatedColumn(line, names[index] ?? '', [keys[index] ?? '', name])
      }
      cells[index] = text
      keys[index] = name
      ranks[index] = rank
    }
    for (const [name, value] of entries) {
      const meaning = finder.find(name)
      if (typeof meaning === 'string') {
        if (meaning !== 'ignored') rejectUnknown(line, [name], options.unknownColumns)
        if (ignored.size < 100) ignored.add(name)
        continue
      }
      const { index, rank, consent } = meaning
      const text = textOf(index, value)
      if (consent && text.trim() !== '' && statesConsent(text.trim(), consent)) add(consent.index, 0, name, text)
      add(index, rank, name, text)
    }
    if (cells[optedIn] !== undefined) hasOptedIn = true
    else if (hasOptedIn) cells[optedIn] = ''
    return cells
  }

  const stream = new Transform({
    readableObjectMode: true,
    transform(chunk: Buffer, _encoding, done) {
      try {
        let from = 0
        for (let end = chunk.indexOf(lineEnd); end >= 0; end = chunk.indexOf(lineEnd, from)) {
          const bytes = chunk.subarray(from, end)
          const block = addLine(partialLine.length > 0 ? Buffer.concat([partialLine, bytes]) : bytes)
          if (block) this.push(block)
          partialLine = Buffer.alloc(0)
          from = end + 1
        }
        if (from < chunk.length) partialLine = Buffer.concat([partialLine, chunk.subarray(from)])
        if (partialLine.length > longestLine) throw tooLong(line + 1)
        done()
      } catch (error) {
        done(error as Error)
      }
    },
    flush(done) {
      try {
        const block = partialLine.length > 0 ? addLine(partialLine) : null
        if (block) this.push(block)
        done()
      } catch (error) {
        done(error as Error)
      }
    },
  })

  return {
    stream,
    ignoredColumns() {
      if (isEmpty) throw errors.badImportFile(1, 'the file is empty')
      return [...ignored]
    },
    faultOf: (error) => error,
  }
}

const optedIn = columns.indexOf('opted_in')
const isOptedIn = (meaning: Meaning) =>
  typeof meaning === 'object' && (meaning.index === optedIn || meaning.consent?.index === optedIn)

/** Returns whether one of the first lines has a key that `isWanted` accepts. */
function hasKey(sample: string, isWanted: (name: string) => boolean): boolean {
  return sample.split(/[\r\n]+/).some((text) => parseEntries(text.trim())?.some(([name]) => isWanted(name)))
}

function tooLong(line: number) {
  return errors.badImportFile(line, `the line is too long (maximum is ${longestLine} bytes)`)
}

/** Returns a value as the text of a cell; a value of another type is returned with a NUL, which no column accepts. */
function textOf(column: number, value: unknown): string {
  if (value === null) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  if (typeof value === 'boolean' && column >= storedColumns) return String(value)
  const isTags = column === columns.indexOf('tags')
  if (isTags && Array.isArray(value) && value.every((tag) => typeof tag === 'string')) return value.join(',')
  return `\0${JSON.stringify(value)}`
}
