import { zoneNames } from './places.ts'

const halfADay = 12 * 3_600_000

/** What a clock in this zone shows at an instant, as `2031-05-06T09:00:00`. */
export function wallClock(instant: Date, timeZone: string): string {
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
  const instants = zoneNames
    .map((zone) => local.toZonedDateTime(zone).epochMilliseconds)
    .filter((instant) => instant >= sendAt.getTime() - halfADay)
  return new Date(Math.min(sendAt.getTime(), ...instants))
}
