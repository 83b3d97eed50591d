// Parsers of the formats in which people and programs write dates and instants.

const datePatterns = [
  /^(?<year>\d{4})(?<month>\d\d)(?<day>\d\d)$/,
  /^(?<year>\d{4})(?<separator>[-/])(?<month>\d\d?)\k<separator>(?<day>\d\d?)$/,
  /^(?<month>\d\d?)(?<separator>[-/])(?<day>\d\d?)\k<separator>(?<year>\d{4})$/,
  /^(?<month>[a-z]{3,9})\.? (?<day>\d\d?)(?:st|nd|rd|th)?,? (?<year>\d{4})$/i,
  /^(?<day>\d\d?)[- ](?<month>[a-z]{3,9})\.?[- ](?<year>\d{4})$/i,
]

const months = [
  'january',
  'february',
  'march',
  'april',
  'may',
  'june',
  'july',
  'august',
  'september',
  'october',
  'november',
  'december',
]

/** The years of dates that people and programs mean; others are slips, such as milliseconds read as seconds. */
const [firstYear, lastYear] = [1800, 2200]

/** The limits of `isUsualYear`, for error messages. */
export const usualYears = `the years ${firstYear} to ${lastYear}`

/** Returns whether an instant is in a year that can be meant, in all time zones. */
export function isUsualYear(instant: Date): boolean {
  const year = instant.getUTCFullYear()
  return year >= firstYear && year <= lastYear
}

function monthOf(text: string): number {
  if (/^\d/.test(text)) return Number(text)
  return months.findIndex((name) => name.startsWith(text.toLowerCase().replace(/^sept$/, 'sep'))) + 1
}

/**
 * Parses `YYYYMMDD`, `YYYY-MM-DD`, the American `M/D/YYYY`, `May 6, 1980` or `6 May 1980` to `YYYY-MM-DD`; returns
 * undefined for an invalid date.
 */
export function readDate(text: string): string | undefined {
  const found = datePatterns.map((pattern) => pattern.exec(text)?.groups).find((groups) => groups !== undefined)
  if (!found) return undefined
  const [year, month, day] = [Number(found.year), monthOf(found.month ?? ''), Number(found.day)]
  const date = new Date(Date.UTC(year, month - 1, day))
  if (!isUsualYear(date) || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined
  return date.toISOString().slice(0, 10)
}

const instantPattern = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?\s?(?<offset>Z|[+-]\d\d:?\d\d)?$/i
// a date in another form and a time, as spreadsheets and exports for people write them: 5/6/2024 3:07 PM
const spokenPattern =
  /^(?<date>.*\d{4}|\d{4}[-/].*?),? (?<hour>\d\d?):(?<minute>\d\d)(?::(?<second>\d\d)(?:\.\d+)?)?(?: ?(?<half>[ap])\.?m\.?)?(?: (?:UTC|GMT))?$/i

/** No date and time is written in more characters; a cell of a file may have 65,536. */
const longestInstant = 80

/** Parses a date (midnight UTC) or a date and time (UTC without an offset) to ISO 8601 in UTC; returns undefined if invalid. */
export function readInstant(text: string): string | undefined {
  if (text.length > longestInstant) return undefined
  const day = readDate(text)
  if (day !== undefined) return `${day}T00:00:00.000Z`
  const offset = instantPattern.exec(text)?.groups
  if (!offset) return readSpokenInstant(text)
  const instant = new Date(`${text.replace(' ', 'T').replace(/\s/g, '')}${offset.offset === undefined ? 'Z' : ''}`)
  if (Number.isNaN(instant.getTime()) || readDate(text.slice(0, 10)) === undefined) return undefined
  return instant.toISOString()
}

function readSpokenInstant(text: string): string | undefined {
  const { date = '', hour, minute, second = '00', half } = spokenPattern.exec(text)?.groups ?? {}
  const day = readDate(date)
  if (day === undefined || hour === undefined) return undefined
  const isTwelveHours = half !== undefined
  if (isTwelveHours && (Number(hour) < 1 || Number(hour) > 12)) return undefined
  const hours = isTwelveHours ? (Number(hour) % 12) + (half?.toLowerCase() === 'p' ? 12 : 0) : Number(hour)
  const instant = new Date(`${day}T${String(hours).padStart(2, '0')}:${minute}:${second}Z`)
  return Number.isNaN(instant.getTime()) ? undefined : instant.toISOString()
}

// a year 0 does not exist in most languages
const instantWithOffsetPattern = /^((?!0000)\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:?\d\d)$/i

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
