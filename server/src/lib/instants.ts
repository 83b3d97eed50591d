const pattern = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:?\d\d)$/i

/** An instant, and the offset that its writer thought in: `Z` or `-07:00`. */
export type InstantWithOffset = { instant: Date; offset: string }

/** Reads an ISO 8601 time that names its offset; undefined for anything else, and for a day that does not exist. */
export function parseInstant(text: string): InstantWithOffset | undefined {
  const [, day, time, given] = pattern.exec(text) ?? []
  if (day === undefined || time === undefined || given === undefined) return undefined
  const offset = given.toUpperCase().replace(/^(...)(\d\d)$/, '$1:$2')
  try {
    const { epochMilliseconds } = Temporal.Instant.from(`${day}T${time}${offset}`)
    return { instant: new Date(epochMilliseconds), offset }
  } catch {
    return undefined
  }
}

/** An instant in seconds as its writer would write it. */
export function formatInstant({ instant, offset }: InstantWithOffset): string {
  const at = Temporal.Instant.fromEpochMilliseconds(instant.getTime())
  return at.toString({ smallestUnit: 'second', ...(offset === 'Z' ? {} : { timeZone: offset }) })
}
