import { type CustomValue, readValue, type ValueError } from '../custom-fields/values.ts'
import { readDate, readInstant } from '../lib/dates.ts'
import { parsePhoneNumber } from '../sms/phone-number.ts'
import { type Column, columns, type FieldColumn } from './columns.ts'

// Validates one row of a file and converts its values to their stored form. An invalid row is skipped with the name of the
// invalid field; the other rows of the file are applied.

export type Cells = readonly (string | undefined)[]

export type CheckedRow = { phone: number; values: (string | null)[] } | { skip: string }

/** Returns the value to store, null for a blank one, or undefined for an invalid one. */
type Check = (text: string) => string | null | undefined

const upTo =
  (limit: number): Check =>
  (text) =>
    text.length <= limit || [...text].length <= limit ? text : undefined

const checks: Record<Exclude<Column, 'phone_number'>, { check: Check; fault: string }> = {
  first_name: { check: upTo(50), fault: 'first_name_too_long' },
  last_name: { check: upTo(50), fault: 'last_name_too_long' },
  email: { check: upTo(50), fault: 'email_too_long' },
  zip_code: { check: (text) => upTo(6)(plainZip(text)), fault: 'zip_code_too_long' },
  birthdate: { check: (text) => readDate(text)?.replaceAll('-', ''), fault: 'bad_birthdate' },
  gender: { check: readGender, fault: 'bad_gender' },
  tags: { check: readTags, fault: 'bad_tags' },
  consented_at: { check: readInstant, fault: 'bad_consented_at' },
  consent_source: { check: upTo(255), fault: 'consent_source_too_long' },
  consent_text: { check: upTo(2_000), fault: 'consent_text_too_long' },
}

const valueChecks = columns.slice(1).map((column) => checks[column as keyof typeof checks])

/**
 * Validates the cells of a row, in the order of `columns` and then of the list's custom fields. `values` are the values of
 * `columns` without the phone number, then the custom values as JSON, or null.
 */
export function checkRow(cells: Cells, fields: readonly FieldColumn[]): CheckedRow {
  const phone = parsePhoneNumber(cells[0]?.trim())
  if (phone === undefined) return { skip: 'bad_phone' }
  const values: (string | null)[] = []
  let index = 0
  for (const { check, fault } of valueChecks) {
    const text = cells[++index]?.trim()
    const value = text ? check(text) : null
    if (value === undefined) return { skip: fault }
    values.push(value)
  }
  let custom: Record<string, CustomValue> | undefined
  for (const field of fields) {
    const text = cells[++index]?.trim()
    if (!text) continue
    const read = readValue(field, text)
    if ('error' in read) return { skip: `${customFaults[read.error]}: ${field.key}` }
    if (read.value === null) continue
    custom ??= {}
    custom[field.key] = read.value
  }
  values.push(custom ? JSON.stringify(custom) : null)
  return { phone, values }
}

const customFaults: Record<ValueError, string> = {
  type: 'bad_custom_field',
  length: 'custom_field_too_long',
  pattern: 'custom_field_pattern_mismatch',
}

/** Returns the five digits of a ZIP+4, and a Canadian code without its space: the contract allows six characters. */
function plainZip(text: string): string {
  const compact = text.replace(/\s/g, '')
  return /^\d{5}-\d{4}$/.test(compact) ? compact.slice(0, 5) : compact
}

function readGender(text: string): string | undefined {
  const letter = text.toLowerCase()
  if (letter === 'male' || letter === 'm') return 'Male'
  return letter === 'female' || letter === 'f' ? 'Female' : undefined
}

function readTags(text: string): string | null | undefined {
  const tags = new Set(text.split(',').map((tag) => tag.trim()))
  tags.delete('')
  if (tags.size > 1_000 || [...tags].some((tag) => upTo(255)(tag) === undefined)) return undefined
  return tags.size === 0 ? null : [...tags].join(',')
}
