import { type Cells, checkRow, type RowRules, type Unreadable } from './rows.ts'

/** Number of skipped rows and of warnings that an import lists; the others are only counted. */
export const shownRows = 1_000

const shownCharacters = 100

export type Skip = { line: number; reason: string; value: string }
export type Warning = { line: number; column: string; reason: string; value: string }

const blockLength = 65_536
const noValues: readonly Unreadable[] = []

/**
 * Converts the rows of one file for the staging table: valid rows to the text format of COPY, in blocks of about 64 KB.
 * Counts skipped rows by reason, and values that were left out, and lists the first thousand of each with their lines.
 */
export class StagedRows {
  total = 0
  readonly skipReasons: Record<string, number> = {}
  readonly skips: Skip[] = []
  warningCount = 0
  readonly warnings: Warning[] = []
  readonly #rules: RowRules
  readonly #skipUnreadable: boolean
  #block = ''

  /** With `skipUnreadable`, a row with a value that cannot be read is skipped, as without a phone number, unless it is an opt-out. */
  constructor(rules: RowRules = { fields: [] }, skipUnreadable = false) {
    this.#rules = rules
    this.#skipUnreadable = skipUnreadable
  }

  /** Adds a row, with the values that its reader left out; returns a block if one is full, otherwise null. */
  add(line: number, cells: Cells, leftOut: readonly Unreadable[] = noValues): string | null {
    const row = checkRow(cells, this.#rules)
    if ('skip' in row) return this.skip(line, row.skip, row.value)
    const { unreadable } = row
    if (unreadable.length > 0 || leftOut.length > 0) {
      const all = leftOut.length > 0 ? [...leftOut, ...unreadable] : unreadable
      const [first] = all
      if (this.#skipUnreadable && first && !row.isStated) return this.skip(line, first.reason, first.value)
      this.#warn(line, all)
    }
    this.total++
    let text = `${line}\t${row.phone}`
    for (const value of row.values) text += value === null ? '\t\\N' : `\t${escapeForCopy(value)}`
    this.#block += `${text}\n`
    return this.#block.length < blockLength ? null : this.rest()
  }

  /** Counts a row that is not imported, and lists it with the value that is wrong. */
  skip(line: number, reason: string, value: string): null {
    this.total++
    this.skipReasons[reason] = (this.skipReasons[reason] ?? 0) + 1
    if (this.skips.length < shownRows) this.skips.push({ line, reason, value: shown(value) })
    return null
  }

  #warn(line: number, unreadable: readonly Unreadable[]) {
    this.warningCount += unreadable.length
    for (const { column, reason, value } of unreadable) {
      if (this.warnings.length < shownRows) this.warnings.push({ line, column, reason, value: shown(value) })
    }
  }

  /** Returns the last, partly filled block. */
  rest(): string {
    const block = this.#block
    this.#block = ''
    return block
  }
}

/** Returns the beginning of a value in a form that PostgreSQL can store. */
function shown(value: string): string {
  const characters = [
    ...value
      .slice(0, shownCharacters * 2)
      .replaceAll('\0', '')
      .toWellFormed(),
  ]
  return characters.length > shownCharacters ? `${characters.slice(0, shownCharacters).join('')}…` : characters.join('')
}

const special = /[\\\t\n\r]/
const escapes: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function escapeForCopy(value: string): string {
  return special.test(value) ? value.replace(/[\\\t\n\r]/g, (character) => escapes[character] ?? '') : value
}
