import { timeZones } from './locations.ts'
import type { Hours } from './windows.ts'

const halfADay = 12 * 3_600_000

/** Returns the local time in this zone at an instant, as `2031-05-06T09:00:00`. */
export function localDateTime(instant: Date, timeZone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(instant.getTime())
    .toZonedDateTimeISO(timeZone)
    .toPlainDateTime()
    .toString({ smallestUnit: 'second' })
}

/**
 * Returns the first instant at which any time zone of phones has the local time `localAt`, which is `sendAt` in the
 * account's zone. It ignores zones in which that was more than half a day earlier: they are across the date line and use
 * that time on the next day.
 */
export function firstOccurrence(localAt: string, sendAt: Date): Date {
  const local = Temporal.PlainDateTime.from(localAt)
  const instants = timeZones
    .map((zone) => local.toZonedDateTime(zone).epochMilliseconds)
    .filter((instant) => instant >= sendAt.getTime() - halfADay)
  return new Date(Math.min(sendAt.getTime(), ...instants))
}

const pattern = /^([01]\d|2[0-3]):([0-5]\d)$/

/** Parses `09:30` into minutes since midnight; `24:00` is the end of the day. Returns undefined for other strings. */
export function parseTimeOfDay(value: string): number | undefined {
  if (value === '24:00') return 1_440
  const [, hour, minute] = pattern.exec(value) ?? []
  return hour === undefined || minute === undefined ? undefined : Number(hour) * 60 + Number(minute)
}

/** Formats minutes since midnight as `09:30`. */
export function formatTimeOfDay(minutes: number): string {
  const two = (n: number) => String(n).padStart(2, '0')
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
}

/** Parses two times of day; returns undefined if one is invalid or `from` is not before `to`. */
export function parseHours({ from, to }: { from: string; to: string }): Hours | undefined {
  const hours = { from: parseTimeOfDay(from), to: parseTimeOfDay(to) }
  if (hours.from === undefined || hours.to === undefined || hours.from >= hours.to) return undefined
  return { from: hours.from, to: hours.to }
}
