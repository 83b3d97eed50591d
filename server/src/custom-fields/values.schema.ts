import { formatTimeWithMs } from '../http/times.ts'
import { type CustomValue, type ValueRules, valueOrDefault } from './values.ts'

/** The values of a subscriber as the API shows them, a key for each field of the list. */
export function presentValues(
  fields: ValueRules[],
  kept: Record<string, unknown>,
  timeZone: string,
): Record<string, CustomValue | null> {
  return Object.fromEntries(fields.map((field) => [field.key, present(field, kept, timeZone)]))
}

function present(field: ValueRules, kept: Record<string, unknown>, timeZone: string): CustomValue | null {
  const value = valueOrDefault(field, kept)
  return field.contentType === 'datetime' && value !== null ? formatTimeWithMs(new Date(value), timeZone) : value
}
