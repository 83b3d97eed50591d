import { errors } from '../errors.ts'
import type { FieldColumn } from './columns.ts'
import { type Cells, checkRow } from './rows.ts'

/** The skipped rows that an import shows one by one; beyond them it counts. */
export const shownSkips = 1_000

const blockLength = 65_536

/**
 * Collects the rows of one file on their way into the staging table: valid ones become text for COPY, in blocks of
 * about 64 KB; the others are counted by reason, and the first thousand kept with their line numbers.
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

  /** Takes a row in; now and then gives a block that is full. What no text column can hold is the file's fault. */
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

  /** The last, partly filled block. */
  rest(): string {
    const block = this.#block
    this.#block = ''
    return block
  }
}

/** Bytes that are no UTF-8 were decoded to U+FFFD, and half a surrogate pair can come out of a JSON escape. */
function isOrdinary(text: string): boolean {
  return !text.includes('\0') && !text.includes('\ufffd') && text.isWellFormed()
}

const special = /[\\\t\n\r]/
const escapes: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function escapeForCopy(value: string): string {
  return special.test(value) ? value.replace(/[\\\t\n\r]/g, (character) => escapes[character] ?? '') : value
}
