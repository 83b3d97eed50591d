import type { ValueRules } from '../custom-fields/values.ts'
import { errors } from '../errors.ts'
import { aliasOf, columns, looksLikeConsent, needlessColumns, storedColumns, words } from './column-names.ts'

/** A custom field of the list; its column may be named by its key or its label. */
export type FieldColumn = ValueRules & { label: string }

/** The caller's columns: for each name in the file, a column, the key of a custom field, or `ignore`. */
export type ColumnMapping = Readonly<Record<string, string>>

/**
 * What a column of a file is: an index (see `columnNames`), a column that is not needed, one without a name, or unknown.
 * `consent` is the column about consent whose name a custom field has, too.
 */
export type Meaning =
  | { index: number; rank: number; consent?: StatedColumn | undefined }
  | 'ignored'
  | 'unnamed'
  | 'unknown'

/**
 * A column about consent, and which of its values count: all, those that are understood, because a `status` may be about
 * another matter, or the words for an opt-out, as in a column `consent_note`.
 */
export type StatedColumn = { index: number; counts: 'all' | 'understood' | 'opt_outs' }

/** Returns the names of all columns: of `columns`, then the keys of the custom fields. An index in a file refers to this array. */
export function columnNames(fields: readonly FieldColumn[]): string[] {
  return [...columns, ...fields.map(({ key }) => key)]
}

/**
 * Finds the columns of a file by their names; the key of a custom field takes precedence over another name of a column. A
 * custom field that has the name of a column about consent does not: the column is both, so that no opt-out is lost.
 */
export class ColumnFinder {
  /** The index of each exact name, of each name as `words` returns it, and of each label. */
  readonly #byName = new Map<string, number>()
  readonly #byWords = new Map<string, number>()
  readonly #byKey = new Map<string, number>()
  readonly #byLabel = new Map<string, number>()
  readonly #mapping = new Map<string, Meaning>()
  readonly #chosen: string[]
  readonly #found = new Map<string, Meaning>()
  /** The columns that the caller chose; other columns of the file with their meaning are ignored. */
  readonly #mappedColumns = new Set<number>()

  constructor(fields: readonly FieldColumn[], mapping: ColumnMapping = {}) {
    this.#addNames(fields)
    this.#chosen = Object.keys(mapping)
    for (const [name, target] of Object.entries(mapping)) {
      const meaning = this.#findTarget(target)
      this.#mapping.set(words(name), meaning)
      if (typeof meaning === 'object' && meaning.index !== several) this.#mappedColumns.add(meaning.index)
    }
  }

  /** A custom field takes precedence over a column about consent, because a list may have a field `status`. */
  #addNames(fields: readonly FieldColumn[]) {
    const keys = fields.map(({ key }, at) => ({ name: key, index: columns.length + at }))
    const own = columns.map((name, index) => ({ name, index }))
    for (const { name, index } of [...own.slice(0, storedColumns), ...keys, ...own.slice(storedColumns)]) {
      setFirst(this.#byName, name, index)
      setFirst(this.#byWords, words(name), index)
    }
    for (const { name, index } of keys) setFirst(this.#byKey, name, index)
    for (const [at, { label }] of fields.entries()) setFirst(this.#byLabel, words(label), columns.length + at)
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
    const found = this.#findUnmapped(name, plain)
    if (typeof found !== 'object' || !this.#mappedColumns.has(found.index)) return found
    // the caller chose another column for the custom field, but not for the consent
    if (found.consent?.counts === 'opt_outs') return 'unknown'
    return found.consent ? { index: found.consent.index, rank: 0 } : 'ignored'
  }

  /** Returns the meaning that the caller states: a column, `ignore`, or a custom field, with `custom_fields.` nothing but that. */
  #findTarget(target: string): Meaning {
    if (target === 'ignore') return 'ignored'
    const onlyField = target.startsWith(fieldPrefix)
    const key = onlyField ? target.slice(fieldPrefix.length) : target
    const index = (onlyField ? this.#byKey : this.#byName).get(key)
    if (index === undefined)
      throw errors.invalid({ columns: [`has an unknown column ${JSON.stringify(shorten(target))}`] })
    if (onlyField || index < columns.length) return { index, rank: 0 }
    return { index, rank: 0, consent: consentColumnOf(words(key)) ?? hiddenConsent(key) }
  }

  /** Returns the names that the caller chose and a file with these columns lacks. */
  missing(names: string[]): string[] {
    const present = new Set(names.map(words))
    return this.#chosen.filter((name) => !present.has(words(name)))
  }

  #findUnmapped(name: string, plain: string): Meaning {
    if (plain === '' || generatedName.test(name)) return 'unnamed'
    const own = this.#byWords.get(plain) ?? -1
    const field = own >= columns.length ? own : (this.#byLabel.get(plain) ?? -1)
    const consent = consentColumnOf(plain)
    if (field >= 0 && (own < 0 || own >= storedColumns) && consent) return { index: field, rank: 0, consent }
    if (own >= 0) return { index: own, rank: 0, consent: own < columns.length ? undefined : hiddenConsent(name) }
    const alias = aliasOf(plain)
    if (alias !== undefined) return { index: columns.indexOf(alias.column), rank: alias.rank }
    if (field >= 0) return { index: field, rank: 0, consent: hiddenConsent(name) }
    return needlessColumns.has(plain) ? 'ignored' : 'unknown'
  }
}

function setFirst(map: Map<string, number>, name: string, index: number) {
  if (!map.has(name)) map.set(name, index)
}

/** Before the key of a custom field in the caller's columns: its column states nothing about consent. */
const fieldPrefix = 'custom_fields.'

/** The column of which a file may have several: any of them opts a number out. */
export const several = columns.indexOf('opted_out')

/** The names that pandas gives to columns without one. */
const generatedName = /^unnamed: ?\d+(?:_level_\d+)?$/i

const plainColumns: ReadonlyMap<string, number> = new Map(columns.map((column, index) => [words(column), index]))

/** Names of a status that may be one of anything. */
const general: ReadonlySet<string> = new Set(['status', 'memberstatus', 'contactstatus'])

/** Returns the column about consent that has this name, given as `words` returns it. */
function consentColumnOf(plain: string): StatedColumn | undefined {
  const alias = aliasOf(plain)
  const index = plainColumns.get(plain) ?? (alias === undefined ? -1 : columns.indexOf(alias.column))
  return index < storedColumns ? undefined : { index, counts: general.has(plain) ? 'understood' : 'all' }
}

/** Returns the column for the opt-outs in a custom field whose name is about consent, but no usual one. */
function hiddenConsent(name: string): StatedColumn | undefined {
  return looksLikeConsent(name) ? { index: several, counts: 'opt_outs' } : undefined
}

/**
 * Throws a 422 with the names of unknown columns, unless they may be ignored. Columns about consent never are, except those
 * that `isNeedless` accepts.
 */
export function rejectUnknown(
  line: number,
  unknown: string[],
  unknownColumns: 'reject' | 'ignore',
  isNeedless: (name: string) => boolean = () => false,
) {
  if (unknown.length === 0) return
  if (unknownColumns === 'reject') {
    throw errors.badImportFile(line, `unknown columns ${quote(unknown)}; unknown_columns=ignore ignores them`)
  }
  const consent = unknown.filter((name) => looksLikeConsent(name) && !isNeedless(name))
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

/** Returns the first 20 names, quoted. */
export function quote(names: string[]): string {
  return names
    .slice(0, 20)
    .map((name) => JSON.stringify(shorten(name)))
    .join(', ')
}

/** Returns the beginning of a name. */
export function shorten(name: string): string {
  const text = name.trim()
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
