import { errors } from '../errors.ts'
import type { FieldColumn } from './columns.ts'
import { type Cells, checkRow } from './rows.ts'

/** Number of skipped rows that an import lists; the others are only counted. */
export const shownSkips = 1_000

const blockLength = 65_536

/**
 * Converts the rows of one file for the staging table: valid rows become text for COPY, in blocks of about 64 KB; the others
 * are counted by reason, and the first thousand are stored with their line numbers.
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

  /** Adds a row; returns a block when one is full. Throws for text that PostgreSQL cannot store. */
  add(line: number, cells: Cells): string | null {
    for (const cell of cells) {
      if (cell === undefined || isOrdinary(cell)) continue
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

/** Invalid UTF-8 was decoded to U+FFFD, and a JSON escape can yield half of a surrogate pair. */
function isOrdinary(text: string): boolean {
  return !text.includes('\0') && !text.includes('\ufffd') && text.isWellFormed()
}

const special = /[\\\t\n\r]/
const escapes: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function escapeForCopy(value: string): string {
  return special.test(value) ? value.replace(/[\\\t\n\r]/g, (character) => escapes[character] ?? '') : value
}
