import type { ValueRules } from '../custom-fields/values.ts'
import { errors } from '../errors.ts'

/** Columns of a file, in the order of the staging table. */
export const columns = [
  'phone_number',
  'first_name',
  'last_name',
  'email',
  'zip_code',
  'birthdate',
  'gender',
  'tags',
  'consented_at',
  'consent_source',
  'consent_text',
] as const

export type Column = (typeof columns)[number]

const aliases = new Map<string, Column>(
  Object.entries({
    phone: 'phone_number',
    number: 'phone_number',
    mobile: 'phone_number',
    mobile_phone: 'phone_number',
    zip: 'zip_code',
    postal_code: 'zip_code',
    email_address: 'email',
    birthday: 'birthdate',
    tag: 'tags',
    consent_date: 'consented_at',
    wording: 'consent_text',
  } as const),
)

/** A custom field of the list; its column may be named by its key or its label. */
export type FieldColumn = ValueRules & { label: string }

/**
 * Returns the index of a column by its name in the file ("Phone Number", "zip"): an index into `columns`, or
 * `columns.length` plus an index into `fields`; undefined if unknown. The key of a field takes precedence over an alias.
 */
export function findColumn(name: string, fields: readonly FieldColumn[]): number | undefined {
  const plain = plainName(name)
  const own = columns.indexOf(plain as Column)
  if (own >= 0) return own
  const byKey = fields.findIndex(({ key }) => key === plain)
  if (byKey >= 0) return columns.length + byKey
  const alias = aliases.get(plain)
  if (alias !== undefined) return columns.indexOf(alias)
  const byLabel = fields.findIndex(({ label }) => plainName(label) === plain)
  return byLabel >= 0 ? columns.length + byLabel : undefined
}

function plainName(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replace(/[\s-]+/g, '_')
}

export type Header = {
  /** For each column of the file its index (see `findColumn`), or undefined for an ignored column. */
  indexes: (number | undefined)[]
  ignored: string[]
}

/**
 * Parses a CSV header. Throws a 422 if there is no phone_number, a column is repeated, or, with `reject`, a column is
 * unknown.
 */
export function readHeader(
  line: number,
  names: string[],
  unknownColumns: 'reject' | 'ignore',
  fields: readonly FieldColumn[],
): Header {
  const indexes = names.map((name) => findColumn(name, fields))
  const unknown = names.filter((_name, index) => indexes[index] === undefined)
  if (!indexes.includes(0)) throw errors.badImportFile(line, 'there is no phone_number column')
  const repeated = indexes.find((column, index) => column !== undefined && indexes.indexOf(column) !== index)
  if (repeated !== undefined)
    throw errors.badImportFile(
      line,
      `there are two columns for ${columns[repeated] ?? fields[repeated - columns.length]?.key}`,
    )
  if (unknown.length > 0 && unknownColumns === 'reject') throw unknownColumnsAt(line, unknown)
  return { indexes, ignored: unknown.map(shorten) }
}

/** Returns the error about unknown columns, with the first 20 names. */
export function unknownColumnsAt(line: number, names: string[]) {
  const shown = names.slice(0, 20).map((name) => JSON.stringify(shorten(name)))
  return errors.badImportFile(line, `unknown columns ${shown.join(', ')}; unknown_columns=ignore ignores them`)
}

function shorten(name: string): string {
  return name.length > 60 ? `${name.slice(0, 60)}…` : name
}
