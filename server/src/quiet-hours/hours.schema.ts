import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { formatTimeOfDay, parseHours } from './local-time.ts'
import type { Hours } from './windows.ts'

type WireHours = { from: string; to: string }

const TimeOfDay = Type.String({ maxLength: 5, examples: ['09:00'] })
const properties = { from: TimeOfDay, to: TimeOfDay }

/** Hours of the day on the wire: `{"from": "09:00", "to": "20:00"}`. */
export const HoursObject = (description: string) =>
  Type.Unsafe<WireHours>({
    ...Type.Object(properties, { additionalProperties: false }),
    description,
    'x-extension': true,
  })

export const HoursOrNull = (description: string) =>
  Type.Unsafe<WireHours | null>({
    ...Type.Object(properties, { additionalProperties: false }),
    type: ['object', 'null'],
    description,
    'x-extension': true,
  })

/** The hours of a body: null for none, undefined when it does not say. */
export function readHours(given: WireHours | null | undefined, field: string): Hours | null | undefined {
  if (!given) return given
  const hours = parseHours(given)
  if (hours) return hours
  throw errors.invalid({ [field]: ['must be two times such as 09:00 and 20:00, the earlier one first'] })
}

export function presentHours({ from, to }: Hours): WireHours {
  return { from: formatTimeOfDay(from), to: formatTimeOfDay(to) }
}
