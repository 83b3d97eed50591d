/** Formats an instant for the API: ISO 8601 with seconds and the zone's offset at that time; null stays null. */
export function formatTime(instant: Date, timeZone: string): string
export function formatTime(instant: Date | null, timeZone: string): string | null
export function formatTime(instant: Date | null, timeZone: string): string | null {
  if (instant === null) return null
  return Temporal.Instant.fromEpochMilliseconds(instant.getTime()).toString({ timeZone, smallestUnit: 'second' })
}

/** As `formatTime`, with milliseconds, which the contract shows in custom fields and donations. */
export function formatTimeWithMs(instant: Date, timeZone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(instant.getTime()).toString({
    timeZone,
    smallestUnit: 'millisecond',
  })
}
