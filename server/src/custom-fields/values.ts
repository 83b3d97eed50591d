import { readInstant } from '../lib/dates.ts'
import { PatternBudget } from './pattern.ts'

export type ContentType = 'text' | 'datetime' | 'number'

/** The properties of a field needed to read and to present its values. */
export type ValueRules = {
  key: string
  contentType: ContentType
  /** In characters of the value as received. */
  maxLength: number
  pattern: string | null
  /** Whether a value must match the pattern as well. */
  isEnforced: boolean
  defaultValue: string | null
}

/** A stored value; a datetime is UTC with milliseconds. */
export type CustomValue = string | number

/** `cost` is a value that its pattern cannot be applied to within the budget of its row or body. */
export type ValueError = 'type' | 'length' | 'pattern' | 'cost'

/** The value to store, null to remove it, or the error. */
export type ValueResult = { value: CustomValue | null } | { error: ValueError }

/**
 * Converts a value to the field's type and validates it. Null and a blank string remove the stored value. The values of one
 * row or body have one budget for their patterns.
 */
export function readValue(rules: ValueRules, input: unknown, budget = new PatternBudget()): ValueResult {
  if (input === null) return { value: null }
  if (typeof input !== 'string' && typeof input !== 'number' && typeof input !== 'boolean') return { error: 'type' }
  const content = String(input)
  const trimmed = content.trim()
  if (trimmed === '') return { value: null }
  if (isLonger(content, rules.maxLength)) return { error: 'length' }
  const value = convert(rules.contentType, input, trimmed)
  if (value === undefined) return { error: 'type' }
  const matches = budget.matches(rules, content)
  if (matches === undefined) return { error: 'cost' }
  return matches ? { value } : { error: 'pattern' }
}

function isLonger(text: string, maxLength: number): boolean {
  return text.length > maxLength && (text.length > 2 * maxLength || [...text].length > maxLength)
}

function convert(type: ContentType, input: string | number | boolean, trimmed: string): CustomValue | undefined {
  if (type === 'text') return String(input)
  if (typeof input === 'boolean') return undefined
  return type === 'number' ? parseNumber(trimmed) : readInstant(trimmed)
}

const decimal = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?$/i

function parseNumber(digits: string): number | undefined {
  if (!decimal.test(digits)) return undefined
  const number = Number(digits)
  // reject integers that a double cannot represent exactly
  return Number.isFinite(number) && Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : undefined
}

/**
 * Returns a subscriber's value of a field, or the default if there is no value, or only one of another type from a
 * deleted field with the same key.
 */
export function valueOrDefault(field: ValueRules, stored: Record<string, unknown>): CustomValue | null {
  const value = Object.hasOwn(stored, field.key) ? stored[field.key] : undefined
  if (field.contentType === 'number' ? typeof value === 'number' : typeof value === 'string') {
    const isForeign = field.contentType === 'datetime' && readInstant(value as string) !== value
    if (!isForeign) return value as CustomValue
  }
  // the default matched the pattern when the field was created
  const result = readValue({ ...field, isEnforced: false }, field.defaultValue)
  return 'value' in result ? result.value : null
}
