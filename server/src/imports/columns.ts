import type { ValueRules } from '../custom-fields/values.ts'
import { errors } from '../errors.ts'
import { aliasOf, columns, looksLikeConsent, needlessColumns, storedColumns, words } from './column-names.ts'

/** A custom field of the list; its column may be named by its key or its label. */
export type FieldColumn = ValueRules & { label: string }

/** The caller's columns: for each name in the file, a column, the key of a custom field, or `ignore`. */
export type ColumnMapping = Readonly<Record<string, string>>

/** What a column of a file is: an index (see `columnNames`), a column that is not needed, or unknown. */
type Meaning = { index: number; rank: number } | 'ignored' | 'unknown'

/** Returns the names of all columns: of `columns`, then the keys of the custom fields. An index in a file refers to this array. */
export function columnNames(fields: readonly FieldColumn[]): string[] {
  return [...columns, ...fields.map(({ key }) => key)]
}

/** Finds the columns of a file by their names; the key of a custom field takes precedence over another name of a column. */
export class ColumnFinder {
  readonly #fields: readonly FieldColumn[]
  readonly #mapping = new Map<string, Meaning>()
  readonly #chosen: string[]
  readonly #found = new Map<string, Meaning>()
  /** The columns that the caller chose; other columns of the file with their meaning are ignored. */
  readonly #mappedColumns = new Set<number>()

  constructor(fields: readonly FieldColumn[], mapping: ColumnMapping = {}) {
    this.#fields = fields
    this.#chosen = Object.keys(mapping)
    for (const [name, target] of Object.entries(mapping)) {
      const index = this.#indexOf((own) => own === target)
      if (index < 0 && target !== 'ignore') {
        throw errors.invalid({ columns: [`has an unknown column ${JSON.stringify(shorten(target))}`] })
      }
      this.#mapping.set(words(name), index < 0 ? 'ignored' : { index, rank: 0 })
      if (index >= 0) this.#mappedColumns.add(index)
    }
  }

  /** Returns the meaning of a column by its name in the file ("Phone Number", "zip"). */
  find(name: string): Meaning {
    const known = this.#found.get(name)
    if (known !== undefined) return known
    const meaning = this.#meaningOf(name)
    // the keys of NDJSON are the same in most lines, but a file may have a new one in each
    if (this.#found.size < 1_000) this.#found.set(name, meaning)
    return meaning
  }

  #meaningOf(name: string): Meaning {
    const plain = words(name)
    const mapped = this.#mapping.get(plain)
    if (mapped !== undefined) return mapped
    const found = this.#findUnmapped(plain)
    return typeof found === 'object' && this.#mappedColumns.has(found.index) ? 'ignored' : found
  }

  /** Returns the names that the caller chose and a file with these columns lacks. */
  missing(names: string[]): string[] {
    const present = new Set(names.map(words))
    return this.#chosen.filter((name) => !present.has(words(name)))
  }

  #findUnmapped(plain: string): Meaning {
    if (plain === '') return 'ignored'
    const own = this.#indexOf((name) => words(name) === plain)
    if (own >= 0) return { index: own, rank: 0 }
    const alias = aliasOf(plain)
    if (alias !== undefined) return { index: columns.indexOf(alias.column), rank: alias.rank }
    const byLabel = this.#fields.findIndex(({ label }) => words(label) === plain)
    if (byLabel >= 0) return { index: columns.length + byLabel, rank: 0 }
    return needlessColumns.has(plain) ? 'ignored' : 'unknown'
  }

  /** A custom field takes precedence over a column about consent, because a list may have a field `status`. */
  #indexOf(matches: (name: string) => boolean): number {
    const stored = columns.slice(0, storedColumns).findIndex(matches)
    if (stored >= 0) return stored
    const field = this.#fields.findIndex(({ key }) => matches(key))
    return field >= 0 ? columns.length + field : columns.findIndex(matches)
  }
}

export type Header = {
  /** For each column of the file its index (see `columnNames`), or undefined for an ignored column. */
  indexes: (number | undefined)[]
  ignored: string[]
}

/**
 * Parses a CSV header. Throws a 422 if there is no phone number, a column is repeated, a column about consent is not
 * understood, or, with `reject`, any column is unknown.
 */
export function readHeader(
  line: number,
  names: string[],
  finder: ColumnFinder,
  unknownColumns: 'reject' | 'ignore',
  fields: readonly FieldColumn[],
): Header {
  const meanings = names.map((name) => finder.find(name))
  const indexes = meanings.map((meaning, at) =>
    typeof meaning === 'object' && isBest(meaning, at, meanings) ? meaning.index : undefined,
  )
  const missing = finder.missing(names)
  if (missing.length > 0) {
    throw errors.badImportFile(line, `the file lacks the columns ${quote(missing)}, which the request names`)
  }
  if (!indexes.includes(0)) throw noPhoneNumber(line, names)
  const repeated = indexes.find(
    (column, at) => column !== undefined && column !== columns.indexOf('opted_out') && indexes.indexOf(column) !== at,
  )
  if (repeated !== undefined) {
    const same = names.filter((_name, at) => indexes[at] === repeated)
    throw repeatedColumn(line, columnNames(fields)[repeated] ?? '', same)
  }
  rejectUnknown(
    line,
    names.filter((_name, at) => meanings[at] === 'unknown'),
    unknownColumns,
  )
  return { indexes, ignored: names.filter((name, at) => name !== '' && indexes[at] === undefined).map(shorten) }
}

/** Returns whether no other column of the file names the same thing more clearly. */
function isBest({ index, rank }: { index: number; rank: number }, at: number, meanings: Meaning[]): boolean {
  return !meanings.some(
    (other, otherAt) => typeof other === 'object' && otherAt !== at && other.index === index && other.rank < rank,
  )
}

/** Throws a 422 with the names of unknown columns, unless they may be ignored. Columns about consent never are. */
export function rejectUnknown(line: number, unknown: string[], unknownColumns: 'reject' | 'ignore') {
  if (unknown.length === 0) return
  if (unknownColumns === 'reject') {
    throw errors.badImportFile(line, `unknown columns ${quote(unknown)}; unknown_columns=ignore ignores them`)
  }
  const consent = unknown.filter(looksLikeConsent)
  if (consent.length === 0) return
  const example = `columns[${shorten(consent[0] ?? '')}]=opted_in`
  throw errors.badImportFile(
    line,
    `columns ${quote(consent)} may state who must not be texted; ${example} (or status, opted_out, ignore) says what they are`,
  )
}

/** Returns the error about several columns for one; `name` is that of the column, `same` are those in the file. */
export function repeatedColumn(line: number, name: string, same: string[]) {
  return errors.badImportFile(
    line,
    `there are two columns for ${name}: ${quote(same)}; columns[${shorten(same[0] ?? '')}]=${name} chooses one`,
  )
}

function noPhoneNumber(line: number, names: string[]) {
  const hint = names.some((name) => /\d{7}/.test(name)) ? 'the first line is not a header, and ' : ''
  const shown = names.length === 1 ? 'the only column is' : 'the columns are'
  const list = hint === '' ? `; ${shown} ${quote(names)}` : ''
  return errors.badImportFile(line, `${hint}there is no phone_number column${list}`)
}

/** Returns the first 20 names, quoted. */
function quote(names: string[]): string {
  return names
    .slice(0, 20)
    .map((name) => JSON.stringify(shorten(name)))
    .join(', ')
}

function shorten(name: string): string {
  const text = name.trim()
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
