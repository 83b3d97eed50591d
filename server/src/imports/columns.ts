import type { ValueRules } from '../custom-fields/values.ts'
import { errors } from '../errors.ts'

/** What a file can say of a subscriber, in the order of the staging table. */
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

/** A custom field of the list; its column may be named by its key or by its label. */
export type FieldColumn = ValueRules & { label: string }

/**
 * The place of a column by its name in the file ("Phone Number", "zip"): one of `columns`, or behind them one of these
 * fields; undefined when unknown. A key of the list wins over another word for a column of ours.
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
  /** For each field of the file its place in `columns`, or undefined for one that is passed over. */
  places: (number | undefined)[]
  ignored: string[]
}

/**
 * Reads a CSV header. A column we do not know is refused by name rather than dropped in silence, unless the caller
 * asked for that; so are a column that comes twice and a header without a phone number.
 */
export function readHeader(
  line: number,
  names: string[],
  unknownColumns: 'refuse' | 'ignore',
  fields: readonly FieldColumn[],
): Header {
  const places = names.map((name) => findColumn(name, fields))
  const unknown = names.filter((_name, index) => places[index] === undefined)
  if (!places.includes(0)) throw errors.badImportFile(line, 'there is no phone_number column')
  const twice = places.find((place, index) => place !== undefined && places.indexOf(place) !== index)
  if (twice !== undefined)
    throw errors.badImportFile(line, `two columns mean ${columns[twice] ?? fields[twice - columns.length]?.key}`)
  if (unknown.length > 0 && unknownColumns === 'refuse') throw unknownColumnsAt(line, unknown)
  return { places, ignored: unknown.map(shorten) }
}

export function unknownColumnsAt(line: number, names: string[]) {
  const shown = names.slice(0, 20).map((name) => JSON.stringify(shorten(name)))
  return errors.badImportFile(line, `unknown columns ${shown.join(', ')}; unknown_columns=ignore passes over them`)
}

function shorten(name: string): string {
  return name.length > 60 ? `${name.slice(0, 60)}…` : name
}
