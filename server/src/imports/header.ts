import { errors } from '../errors.ts'
import { parsePhoneNumber } from '../sms/phone-number.ts'
import { columns, describesOptOut, words } from './column-names.ts'
import {
  type ColumnFinder,
  columnNames,
  type FieldColumn,
  type Meaning,
  quote,
  rejectUnknown,
  repeatedColumn,
  type StatedColumn,
  several,
  shorten,
} from './columns.ts'
import { headerRows } from './delimiters.ts'

export type Header = {
  names: readonly string[]
  /** For each column, up to the last one with a name, its index (see `columnNames`), or undefined for an ignored column. */
  indexes: (number | undefined)[]
  /** The columns that are not ignored, in the order of the file. */
  used: { at: number; index: number }[]
  /** The distinct indexes of these columns. */
  present: number[]
  /** The columns of custom fields that may state the consent, too. */
  consent: (StatedColumn & { at: number })[]
  /** The columns without a name. */
  unnamed: number[]
  ignored: string[]
}

/** Maximum number of columns of a file; those without a name at the end are not counted. */
const maxColumns = 10_000
/** Number of columns without a meaning that an import lists. */
const shownColumns = 100

export type HeaderOptions = {
  finder: ColumnFinder
  /** Whether the header has several columns, so that a row with a single cell is a title. */
  isWide: boolean
  unknownColumns: 'reject' | 'ignore'
  fields: readonly FieldColumn[]
}

type Row = { line: number; cells: string[]; filled: number }

/**
 * Finds the header of a CSV file, which is the first row with a column for the phone number. Exports and spreadsheets have
 * titles above it ("Contacts exported 11/02/2026"): rows with fewer cells than the header, and at most two.
 */
export class HeaderSearch {
  readonly #options: HeaderOptions
  readonly #titles: Row[] = []

  constructor(options: HeaderOptions) {
    this.#options = options
  }

  /** Returns the header if the row is one, or undefined if it is a title; throws a 422 if it can be neither. */
  add(line: number, cells: string[]): Header | undefined {
    const row = { line, cells, filled: cells.filter((cell) => cell.trim() !== '').length }
    const { finder, isWide } = this.#options
    const isHeader = cells.some((cell) => isPhone(finder.find(cell))) && (row.filled > 1 || !isWide)
    if (isHeader && this.#titles.every(({ filled }) => filled < row.filled || filled === 1)) {
      for (const title of this.#titles) rejectTitle(title)
      return readHeader(line, cells, this.#options)
    }
    const isTitle = !isHeader && row.filled <= 2 && !cells.some(isNumber) && this.#titles.length < headerRows - 1
    if (!isTitle) throw this.#noHeader(row)
    this.#titles.push(row)
    return undefined
  }

  /** Throws a 422, because the file has ended without a header. */
  end(): never {
    throw this.#noHeader()
  }

  /** Returns the error with the columns of the row that is most probably the header. */
  #noHeader(last?: Row) {
    const [first = last] = this.#titles
    const row = last && last.filled > 2 && !last.cells.some(hasDigits) ? last : first
    if (!row) return errors.badImportFile(1, 'the file is empty')
    if (row.cells.some(hasDigits)) {
      return errors.badImportFile(row.line, 'the first line is not a header, and there is no phone_number column')
    }
    const shown = row.cells.length === 1 ? 'the only column is' : 'the columns are'
    return errors.badImportFile(row.line, `there is no phone_number column; ${shown} ${quote(row.cells)}`)
  }
}

/** Returns whether a column is that of the phone number. */
export const isPhone = (meaning: Meaning) => typeof meaning === 'object' && meaning.index === 0
const isNumber = (cell: string) => parsePhoneNumber(cell) !== undefined
const hasDigits = (cell: string) => /\d{7}/.test(cell)

const negative =
  /unsub|opt(?:ed)?outs?|donot(?:call|contact|text|message|sms)|dontt?(?:call|contact|text)|^dnc|dnc$|dnclist|suppress|blacklist|blocklist|stoplist|stopped|cleaned|bounced|revoked|invalid|withoutconsent|noconsent|(?:non|not|never)subscri|unreachable|landlines?$|removed|deleted|archived|inactive|^stops?$|^blocked/

/** Throws a 422 if a title states that the people below it must not be texted. */
function rejectTitle({ line, cells }: Row) {
  const text = cells.find((cell) => negative.test(words(cell)))
  if (text === undefined) return
  const title = JSON.stringify(shorten(text))
  throw errors.badImportFile(
    line,
    `the title ${title} may state that these people must not be texted; replace it by a column status, or remove the line`,
  )
}

const dates: ReadonlySet<number> = new Set([columns.indexOf('unsubscribed_at'), columns.indexOf('cleaned_at')])

/**
 * Reads a header. Throws a 422 if a column is repeated, a column about consent is not understood, or, with `reject`, any
 * column is unknown.
 */
function readHeader(line: number, given: string[], { finder, unknownColumns, fields }: HeaderOptions): Header {
  const last = given.findLastIndex((name) => finder.find(name) !== 'unnamed')
  const names = given.slice(0, last + 1)
  if (names.length > maxColumns) {
    throw errors.badImportFile(line, `the header has ${names.length} columns (maximum is ${maxColumns})`)
  }
  const meanings = names.map((name) => finder.find(name))
  const bestRanks = bestRanksOf(meanings)
  const indexes = meanings.map((meaning) =>
    typeof meaning === 'object' && meaning.rank === bestRanks.get(meaning.index) ? meaning.index : undefined,
  )
  const missing = finder.missing(names)
  if (missing.length > 0) {
    throw errors.badImportFile(line, `the file lacks the columns ${quote(missing)}, which the request names`)
  }
  const consent = meanings.flatMap((meaning, at) =>
    typeof meaning === 'object' && meaning.consent && indexes[at] !== undefined ? [{ ...meaning.consent, at }] : [],
  )
  rejectRepeated(line, names, indexes, consent, fields)
  rejectUnknown(
    line,
    names.filter((_name, at) => meanings[at] === 'unknown'),
    unknownColumns,
    indexes.some((index) => index !== undefined && dates.has(index)) ? describesOptOut : () => false,
  )
  const used = indexes.flatMap((index, at) => (index === undefined ? [] : [{ at, index }]))
  return {
    names,
    indexes,
    used,
    present: [...new Set(used.map(({ index }) => index))],
    consent,
    unnamed: meanings.flatMap((meaning, at) => (meaning === 'unnamed' ? [at] : [])),
    ignored: given
      .filter((name, at) => name !== '' && indexes[at] === undefined)
      .slice(0, shownColumns)
      .map(shorten),
  }
}

/**
 * Returns whether a row is a header with other columns, as below a second table or where two files were joined. The rows
 * below it would be read in the wrong columns.
 */
export function isOtherHeader(row: readonly string[], { names }: Header, finder: ColumnFinder): boolean {
  const cells = row.length > maxColumns ? row.slice(0, maxColumns) : row
  const filled = cells.filter((cell) => cell.trim() !== '')
  if (filled.length * 2 < names.length || names.every((name, at) => name === cells[at])) return false
  const found = filled.map((cell) => finder.find(cell)).filter((meaning) => typeof meaning === 'object')
  const isLikely = found.length * 2 >= filled.length && new Set(found.map(({ index }) => index)).size > 1
  return isLikely && found.some(isPhone)
}

function rejectRepeated(
  line: number,
  names: string[],
  indexes: (number | undefined)[],
  consent: Header['consent'],
  fields: readonly FieldColumn[],
) {
  const places = new Map<number, number[]>()
  const all = [...indexes.map((index, at) => ({ index, at })), ...consent]
  for (const { index, at } of all) {
    if (index === undefined || index === several) continue
    const found = places.get(index)
    if (found) found.push(at)
    else places.set(index, [at])
  }
  for (const [index, found] of places) {
    if (found.length < 2) continue
    const same = found.sort((a, b) => a - b).map((at) => names[at] ?? '')
    throw repeatedColumn(line, columnNames(fields)[index] ?? '', same)
  }
}

/** Returns the rank of the clearest name that the file has for each column. */
function bestRanksOf(meanings: Meaning[]): Map<number, number> {
  const ranks = new Map<number, number>()
  for (const meaning of meanings) {
    if (typeof meaning === 'object') {
      ranks.set(meaning.index, Math.min(meaning.rank, ranks.get(meaning.index) ?? meaning.rank))
    }
  }
  return ranks
}
