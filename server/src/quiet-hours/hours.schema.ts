import { Type } from 'typebox'
import { errors } from '../errors.ts'
import { formatTimeOfDay, parseHours } from './local-time.ts'
import type { Hours } from './windows.ts'

type WireHours = { from: string; to: string }

const TimeOfDay = Type.String({ maxLength: 5, examples: ['09:00'] })
const WireHours = Type.Object({ from: TimeOfDay, to: TimeOfDay }, { title: 'Hours', additionalProperties: false })

/** The wire schema of hours: `{"from": "09:00", "to": "20:00"}`. */
export const HoursObject = (description: string) =>
  Type.Unsafe<WireHours>({
    ...WireHours,
    description,
    'x-extension': true,
  })

export const HoursOrNull = (description: string) =>
  Type.Unsafe<WireHours | null>({
    ...WireHours,
    type: ['object', 'null'],
    description,
    'x-extension': true,
  })

/** Parses hours from a body; returns null and undefined unchanged. Throws a 422 if the times are invalid. */
export function readHours(wire: WireHours | null | undefined, field: string): Hours | null | undefined {
  if (!wire) return wire
  const hours = parseHours(wire)
  if (hours) return hours
  throw errors.invalid({ [field]: ['must be two times such as 09:00 and 20:00, with from before to'] })
}

export function presentHours({ from, to }: Hours): WireHours {
  return { from: formatTimeOfDay(from), to: formatTimeOfDay(to) }
}
