// Parsers of the formats in which people and programs write dates and instants.

const datePatterns = [
  /^(?<year>\d{4})(?<month>\d\d)(?<day>\d\d)$/,
  /^(?<year>\d{4})-(?<month>\d\d?)-(?<day>\d\d?)$/,
  /^(?<month>\d\d?)\/(?<day>\d\d?)\/(?<year>\d{4})$/,
]

/** Parses `YYYYMMDD`, `YYYY-MM-DD` or the American `M/D/YYYY` to `YYYY-MM-DD`; returns undefined for an invalid date. */
export function readDate(text: string): string | undefined {
  const found = datePatterns.map((pattern) => pattern.exec(text)?.groups).find((groups) => groups !== undefined)
  if (!found) return undefined
  const [year, month, day] = [Number(found.year), Number(found.month), Number(found.day)]
  const date = new Date(Date.UTC(year, month - 1, day))
  if (year < 1800 || year > 2200 || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined
  return date.toISOString().slice(0, 10)
}

const instantPattern = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?\s?(?<offset>Z|[+-]\d\d:?\d\d)?$/i

/** Parses a date (midnight UTC) or a date and time (UTC without an offset) to ISO 8601 in UTC; returns undefined if invalid. */
export function readInstant(text: string): string | undefined {
  const day = readDate(text)
  if (day !== undefined) return `${day}T00:00:00.000Z`
  const offset = instantPattern.exec(text)?.groups
  if (!offset) return undefined
  const instant = new Date(`${text.replace(' ', 'T').replace(/\s/g, '')}${offset.offset === undefined ? 'Z' : ''}`)
  if (Number.isNaN(instant.getTime()) || readDate(text.slice(0, 10)) === undefined) return undefined
  return instant.toISOString()
}

const instantWithOffsetPattern = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:?\d\d)$/i

/** An instant with its original offset, such as `Z` or `-07:00`. */
export type InstantWithOffset = { instant: Date; offset: string }

/** Parses an ISO 8601 time with an offset; returns undefined for any other string. */
export function parseInstant(text: string): InstantWithOffset | undefined {
  const [, day, time, given] = instantWithOffsetPattern.exec(text) ?? []
  if (day === undefined || time === undefined || given === undefined) return undefined
  const offset = given.toUpperCase().replace(/^(...)(\d\d)$/, '$1:$2')
  try {
    const { epochMilliseconds } = Temporal.Instant.from(`${day}T${time}${offset}`)
    return { instant: new Date(epochMilliseconds), offset }
  } catch {
    return undefined
  }
}

/** Formats an instant to the second, with its original offset. */
export function formatInstant({ instant, offset }: InstantWithOffset): string {
  const at = Temporal.Instant.fromEpochMilliseconds(instant.getTime())
  return at.toString({ smallestUnit: 'second', ...(offset === 'Z' ? {} : { timeZone: offset }) })
}
