import { errors } from '../errors.ts'
import type { FieldColumn } from './columns.ts'
import { type Cells, checkRow } from './rows.ts'

/** Number of skipped rows that an import lists; the others are only counted. */
export const shownSkips = 1_000

const blockLength = 65_536

/**
 * Converts the rows of one file for the staging table: valid rows to the text format of COPY, in blocks of about 64 KB.
 * Counts invalid rows by reason, and lists the first thousand with their line numbers.
 */
export class StagedRows {
  total = 0
  readonly skipReasons: Record<string, number> = {}
  readonly skips: { line: number; reason: string }[] = []
  readonly #fields: readonly FieldColumn[]
  #block = ''

  constructor(fields: readonly FieldColumn[] = []) {
    this.#fields = fields
  }

  /** Adds a row; returns a block if one is full, otherwise null. Throws a 422 for a string that PostgreSQL cannot store. */
  add(line: number, cells: Cells): string | null {
    for (const cell of cells) {
      if (cell === undefined || isStorable(cell)) continue
      if (cell.includes('\0')) throw errors.badImportFile(line, 'there is a NUL character')
      throw errors.badImportFile(line, 'the text is not valid UTF-8')
    }
    this.total++
    const row = checkRow(cells, this.#fields)
    if ('skip' in row) {
      this.skipReasons[row.skip] = (this.skipReasons[row.skip] ?? 0) + 1
      if (this.skips.length < shownSkips) this.skips.push({ line, reason: row.skip })
      return null
    }
    let text = `${line}\t${row.phone}`
    for (const value of row.values) text += value === null ? '\t\\N' : `\t${escapeForCopy(value)}`
    this.#block += `${text}\n`
    return this.#block.length < blockLength ? null : this.rest()
  }

  /** Returns the last, partly filled block. */
  rest(): string {
    const block = this.#block
    this.#block = ''
    return block
  }
}

/** Returns false for a NUL, for U+FFFD, to which the reader decodes invalid UTF-8, and for half of a surrogate pair. */
function isStorable(text: string): boolean {
  return !text.includes('\0') && !text.includes('\ufffd') && text.isWellFormed()
}

const special = /[\\\t\n\r]/
const escapes: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function escapeForCopy(value: string): string {
  return special.test(value) ? value.replace(/[\\\t\n\r]/g, (character) => escapes[character] ?? '') : value
}
