import { Transform } from 'node:stream'
import { errors } from '../errors.ts'
import { columns, findColumn, unknownColumnsAt } from './columns.ts'
import { longestLine, type Reader, type ReaderOptions } from './csv-reader.ts'
import type { Cells } from './rows.ts'
import type { StagedRows } from './staged-rows.ts'

const newline = 0x0a

/** Reads one JSON object per line; ignores blank lines and a BOM. */
export function readNdjson(rows: StagedRows, options: ReaderOptions): Reader {
  const utf8 = new TextDecoder('utf-8', { fatal: true })
  const { customFields = [] } = options
  const ignored = new Set<string>()
  let line = 0
  let isEmpty = true
  let partialLine: Buffer = Buffer.alloc(0)

  const addLine = (bytes: Buffer): string | null => {
    line++
    if (bytes.length > longestLine) throw tooLong(line)
    const text = decode(bytes).trim()
    if (text === '') return null
    isEmpty = false
    return rows.add(line, cellsOf(text))
  }
  const decode = (bytes: Buffer): string => {
    try {
      return utf8.decode(bytes)
    } catch {
      throw errors.badImportFile(line, 'the text is not valid UTF-8')
    }
  }
  const cellsOf = (text: string): Cells => {
    const object = parseObject(line, text)
    const cells: string[] = []
    for (const [name, value] of Object.entries(object)) {
      const column = findColumn(name, customFields)
      if (column !== undefined) cells[column] = textOf(line, name, column, value)
      else if (options.unknownColumns === 'reject') throw unknownColumnsAt(line, [name])
      else if (ignored.size < 100) ignored.add(name)
    }
    return cells
  }

  const stream = new Transform({
    readableObjectMode: true,
    transform(chunk: Buffer, _encoding, done) {
      try {
        let from = 0
        for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
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

function tooLong(line: number) {
  return errors.badImportFile(line, `the line is too long (maximum is ${longestLine} bytes)`)
}

function parseObject(line: number, text: string): object {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw errors.badImportFile(line, 'the line is not JSON')
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw errors.badImportFile(line, 'the line is not a JSON object')
}

function textOf(line: number, name: string, column: number, value: unknown): string {
  if (value === null) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  if (typeof value === 'boolean' && column >= columns.length) return String(value)
  const isTags = column === columns.indexOf('tags')
  if (isTags && Array.isArray(value) && value.every((tag) => typeof tag === 'string')) return value.join(',')
  throw errors.badImportFile(line, `${name} has a value of the wrong type`)
}
