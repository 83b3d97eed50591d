/** An instant as the API shows it: ISO 8601 with seconds and the zone's offset at that moment, or null for none. */
export function formatTime(instant: Date, timeZone: string): string
export function formatTime(instant: Date | null, timeZone: string): string | null
export function formatTime(instant: Date | null, timeZone: string): string | null {
  if (instant === null) return null
  return Temporal.Instant.fromEpochMilliseconds(instant.getTime()).toString({ timeZone, smallestUnit: 'second' })
}

/** As `formatTime`, with milliseconds, which the contract has for custom fields and donations. */
export function formatTimeWithMs(instant: Date, timeZone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(instant.getTime()).toString({
    timeZone,
    smallestUnit: 'millisecond',
  })
}
