import { timeZones } from './locations.ts'
import type { Hours } from './windows.ts'

const halfADay = 12 * 3_600_000

/** What a clock in this zone shows at an instant, as `2031-05-06T09:00:00`. */
export function localDateTime(instant: Date, timeZone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(instant.getTime())
    .toZonedDateTimeISO(timeZone)
    .toPlainDateTime()
    .toString({ smallestUnit: 'second' })
}

/**
 * When a wall-clock time, which is `sendAt` in the account's zone, comes first where handsets may be. Zones that had it
 * more than half a day before do not count: they are beyond the date line, and have it again the next day.
 */
export function firstOccurrence(localAt: string, sendAt: Date): Date {
  const local = Temporal.PlainDateTime.from(localAt)
  const instants = timeZones
    .map((zone) => local.toZonedDateTime(zone).epochMilliseconds)
    .filter((instant) => instant >= sendAt.getTime() - halfADay)
  return new Date(Math.min(sendAt.getTime(), ...instants))
}

const pattern = /^([01]\d|2[0-3]):([0-5]\d)$/

/** Minutes since midnight of `09:30`; `24:00` is the end of the day. Undefined for anything else. */
export function parseTimeOfDay(text: string): number | undefined {
  if (text === '24:00') return 1_440
  const [, hour, minute] = pattern.exec(text) ?? []
  return hour === undefined || minute === undefined ? undefined : Number(hour) * 60 + Number(minute)
}

/** `09:30`. */
export function formatTimeOfDay(minutes: number): string {
  const two = (n: number) => String(n).padStart(2, '0')
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
}

/** Hours from two times of a day; undefined when one is none, or they are not in their order. */
export function parseHours({ from, to }: { from: string; to: string }): Hours | undefined {
  const hours = { from: parseTimeOfDay(from), to: parseTimeOfDay(to) }
  if (hours.from === undefined || hours.to === undefined || hours.from >= hours.to) return undefined
  return { from: hours.from, to: hours.to }
}
