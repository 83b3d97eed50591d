import { PatternBudget } from '../custom-fields/pattern.ts'
import { type CustomValue, readValue, type ValueError, type ValueResult } from '../custom-fields/values.ts'
import { readInstant } from '../lib/dates.ts'
import { parsePhoneNumber } from '../sms/phone-number.ts'
import { readBirthdate, readGender, readZipCode } from '../subscribers/profile-values.ts'
import { type Column, columns, storedColumns } from './column-names.ts'
import type { FieldColumn } from './columns.ts'
import { isOptOutWord, isUnreadableDate, readConsent } from './consent-state.ts'
import type { DateCounts } from './date-counts.ts'

// Validates one row of a file and converts its values to their stored form. A row without a phone number is skipped; an
// optional value that cannot be read is left out, with a warning. The other rows of the file are applied.

export type Cells = readonly (string | undefined)[]

/** A value that was left out, with the reason that a skipped row would have. */
export type Unreadable = { column: string; reason: string; value: string }

export type CheckedRow =
  | { phone: number; values: (string | null)[]; unreadable: readonly Unreadable[]; isStated: boolean }
  | { skip: string; value: string }

/** Returns the value to store, null for a blank one, or undefined for an invalid one. */
type Check = (text: string) => string | null | undefined

/** What the rows of a file are validated with. */
export type RowRules = {
  /** The custom fields of the list. */
  fields: readonly FieldColumn[]
  /** Without it, a day count of Excel is not a date. */
  dateCounts?: DateCounts | undefined
}

const upTo =
  (limit: number): Check =>
  (text) =>
    text.length <= limit || (text.length <= 2 * limit && [...text].length <= limit) ? text : undefined

type StoredColumn = Exclude<
  Column,
  'phone_number' | 'status' | 'opted_in' | 'opted_out' | 'unsubscribed_at' | 'cleaned_at'
>

const checks: Record<StoredColumn, { check: Check; fault: string }> = {
  first_name: { check: upTo(50), fault: 'first_name_too_long' },
  last_name: { check: upTo(50), fault: 'last_name_too_long' },
  email: { check: upTo(50), fault: 'email_too_long' },
  zip_code: { check: readZipCode, fault: 'bad_zip_code' },
  birthdate: { check: readBirthdate, fault: 'bad_birthdate' },
  gender: { check: readGender, fault: 'bad_gender' },
  tags: { check: readTags, fault: 'bad_tags' },
  consented_at: { check: readInstant, fault: 'bad_consented_at' },
  consent_source: { check: upTo(255), fault: 'consent_source_too_long' },
  consent_text: { check: upTo(2_000), fault: 'consent_text_too_long' },
}

const valueChecks = columns
  .slice(1, storedColumns)
  .map((column) => ({ column: column as StoredColumn, ...checks[column as StoredColumn] }))
const consentedAt = columns.indexOf('consented_at') - 1
const [status, optedIn, optedOut, unsubscribedAt, cleanedAt] = [0, 1, 2, 3, 4].map((n) => storedColumns + n) as [
  number,
  number,
  number,
  number,
  number,
]
const none: readonly Unreadable[] = []

/**
 * Validates the cells of a row, in the order of `columns` and then of the list's custom fields. `values` are the values of
 * the stored columns without the phone number, the custom values as JSON or null, and the state of an opted-out or cleaned
 * number with its date; `isStated` is whether there is such a state.
 */
export function checkRow(cells: Cells, { fields, dateCounts }: RowRules): CheckedRow {
  const phone = parsePhoneNumber(cells[0]?.trim())
  if (phone === undefined) return { skip: 'bad_phone', value: cells[0] ?? '' }
  let unreadable: Unreadable[] | undefined
  const leaveOut = (column: string, reason: string, value: string) => {
    unreadable ??= []
    // a value of a custom field with the name of a column about consent is read twice, and is one warning
    if (!unreadable.some((other) => other.column === column)) unreadable.push({ column, reason, value })
  }
  const values: (string | null)[] = []
  let index = 0
  for (const { column, check, fault } of valueChecks) {
    const text = cells[++index]?.trim()
    let value = text ? (isStorable(text) ? check(text) : undefined) : null
    if (value === undefined && text) value = dateOf(dateCounts?.read(index, text), column)
    if (value === undefined) {
      leaveOut(column, text && isStorable(text) ? fault : `bad_${column}`, text ?? '')
      value = null
    }
    values.push(value)
  }
  let custom: Record<string, CustomValue> | undefined
  let budget: PatternBudget | undefined
  for (const [at, field] of fields.entries()) {
    const text = cells[columns.length + at]?.trim()
    if (!text) continue
    budget ??= new PatternBudget()
    const read = isStorable(text)
      ? readField(field, text, budget, dateCounts, columns.length + at)
      : { error: 'type' as const }
    if ('error' in read) {
      leaveOut(field.key, `${customFaults[read.error]}: ${field.key}`, text)
      continue
    }
    if (read.value === null) continue
    custom ??= {}
    custom[field.key] = read.value
  }
  values.push(custom ? JSON.stringify(custom) : null)
  const stated =
    cells.length > storedColumns ? readStated(cells, values[consentedAt] ?? null, dateCounts, leaveOut) : undefined
  if (stated && 'skip' in stated) return stated
  values.push(stated?.state ?? null, stated?.at ?? null)
  return { phone, values, unreadable: unreadable ?? none, isStated: stated !== undefined }
}

/** Reads the state that the cells about consent state; calls `leaveOut` with the date of an opt-out that cannot be read. */
function readStated(
  cells: Cells,
  consent: string | null,
  dateCounts: DateCounts | undefined,
  leaveOut: (column: string, reason: string, value: string) => void,
) {
  const textOf = (index: number) => {
    const text = cells[index]?.trim()
    return text && dateCounts ? dateCounts.inDates(index, text) : text
  }
  const texts = {
    status: textOf(status),
    optedIn: textOf(optedIn),
    optedOut: textOf(optedOut),
    unsubscribedAt: textOf(unsubscribedAt),
    cleanedAt: textOf(cleanedAt),
  }
  const stated = readConsent({ ...texts, consentedAt: consent })
  if (stated && 'state' in stated && stated.at === null) {
    const isOptOut = stated.state === 'unsubscribed'
    const date = isOptOut ? texts.unsubscribedAt : texts.cleanedAt
    const column = isOptOut ? 'unsubscribed_at' : 'cleaned_at'
    if (date && isUnreadableDate(date)) leaveOut(column, `bad_${column}`, date)
  }
  return stated
}

/** Returns a day count of Excel in the form of the column. */
function dateOf(instant: string | undefined, column: StoredColumn): string | undefined {
  return column === 'birthdate' ? instant?.slice(0, 10).replaceAll('-', '') : instant
}

function readField(
  field: FieldColumn,
  text: string,
  budget: PatternBudget,
  dateCounts: DateCounts | undefined,
  index: number,
): ValueResult {
  const read = readValue(field, text, budget)
  if (!('error' in read) || field.contentType !== 'datetime' || read.error !== 'type') return read
  const instant = dateCounts?.read(index, text)
  return instant === undefined ? read : { value: instant }
}

const customFaults: Record<ValueError, string> = {
  type: 'bad_custom_field',
  length: 'custom_field_too_long',
  pattern: 'custom_field_pattern_mismatch',
  cost: 'custom_field_pattern_too_slow',
}

const unstorable = /[\0\ufffd]/
// what a spreadsheet shows instead of a value
const spreadsheetError = /^#(?:N\/A|REF!|VALUE!|NAME\?|DIV\/0!|NULL!|NUM!|ERROR!|#+)$/i
const hash = '#'.charCodeAt(0)

/**
 * Returns false for a NUL, for U+FFFD, to which bytes without a certain meaning are decoded, for half of a surrogate pair,
 * and for an error of a spreadsheet.
 */
function isStorable(text: string): boolean {
  if (unstorable.test(text) || !text.isWellFormed()) return false
  return text.charCodeAt(0) !== hash || !spreadsheetError.test(text)
}

/** Returns how a value of a column without a name is read: an index is not needed, and an opt-out must not be lost. */
export function readUnnamed(text: string): 'needless' | 'opt_out' | 'unknown' {
  if (text === '' || /^\d+(?:\.0+)?$/.test(text)) return 'needless'
  return isOptOutWord(text) ? 'opt_out' : 'unknown'
}

function readTags(text: string): string | null | undefined {
  const tags = new Set(
    text.split(',').map((tag) =>
      tag
        .trim()
        .replace(/^"(.*)"$/, (_, inner: string) => inner)
        .trim(),
    ),
  )
  tags.delete('')
  if (tags.size > 1_000 || [...tags].some((tag) => upTo(255)(tag) === undefined)) return undefined
  return tags.size === 0 ? null : [...tags].join(',')
}
