import { readInstant } from '../lib/dates.ts'
import { matchesPattern } from './pattern.ts'

export type ContentType = 'text' | 'datetime' | 'number'

/** What has to be known of a field to take a value in and to show it. */
export type ValueRules = {
  key: string
  contentType: ContentType
  /** In characters of the value as it was given. */
  maxLength: number
  pattern: string | null
  /** Whether a value has to fit the pattern, too. */
  isEnforced: boolean
  defaultValue: string | null
}

/** As it is kept: a datetime is UTC with milliseconds. */
export type CustomValue = string | number

export type ValueError = 'type' | 'length' | 'pattern'

/** The value to keep, null for one that is taken back, or what is wrong with it. */
export type ValueResult = { value: CustomValue | null } | { fault: ValueError }

/** Converts a given value to the field's type and checks it. Null and a blank text take the value back. */
export function readValue(rules: ValueRules, given: unknown): ValueResult {
  if (given === null) return { value: null }
  if (typeof given !== 'string' && typeof given !== 'number' && typeof given !== 'boolean') return { fault: 'type' }
  const text = String(given)
  const plain = text.trim()
  if (plain === '') return { value: null }
  if (text.length > rules.maxLength && [...text].length > rules.maxLength) return { fault: 'length' }
  const value = convert(rules.contentType, given, plain)
  if (value === undefined) return { fault: 'type' }
  if (rules.isEnforced && rules.pattern !== null && !matchesPattern(rules.pattern, text)) return { fault: 'pattern' }
  return { value }
}

function convert(type: ContentType, given: string | number | boolean, plain: string): CustomValue | undefined {
  if (type === 'text') return String(given)
  if (typeof given === 'boolean') return undefined
  return type === 'number' ? readNumber(plain) : readInstant(plain)
}

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?$/i

function readNumber(text: string): number | undefined {
  if (!decimal.test(text)) return undefined
  const number = Number(text)
  // a whole number that would come back as another one is rather refused
  return Number.isFinite(number) && Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : undefined
}

/**
 * A person's value of a field. Where there is none, or one from a former field of the same key and another type, the
 * default stands in.
 */
export function valueOrDefault(field: ValueRules, kept: Record<string, unknown>): CustomValue | null {
  const value = Object.hasOwn(kept, field.key) ? kept[field.key] : undefined
  if (field.contentType === 'number' ? typeof value === 'number' : typeof value === 'string') {
    const isAnother = field.contentType === 'datetime' && readInstant(value as string) !== value
    if (!isAnother) return value as CustomValue
  }
  const byDefault = readValue(field, field.defaultValue)
  return 'value' in byDefault ? byDefault.value : null
}
