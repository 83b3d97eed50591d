import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { Count, TimeOrNull } from '../http/schema.ts'
import { readDate } from '../lib/dates.ts'
import { formatTime } from '../lib/format-time.ts'
import type { ListSize } from './list-sizes.queries.ts'

/** Maximum number of days of a request. */
export const maxSizeDays = 400

const defaultDays = 30
const dayMs = 86_400_000

const Day = (description: string) => Type.Optional(Type.String({ maxLength: 40, description }))

export const SizesQuery = Type.Object({
  from: Day(`The first day, as 2031-05-06; by default ${defaultDays} days before the last one.`),
  to: Day('The last day; by default yesterday.'),
})

/**
 * Returns the days (YYYY-MM-DD) of a query, in the time zone in which it is read. Throws a 422 if one is no date, the days are reversed,
 * or there are too many.
 */
export function readSizesPeriod(query: Static<typeof SizesQuery>, now: Date, timeZone: string) {
  const yesterday = Temporal.Instant.fromEpochMilliseconds(now.getTime())
    .toZonedDateTimeISO(timeZone)
    .toPlainDate()
    .subtract({ days: 1 })
  const to = readDay('to', query.to) ?? yesterday.toString()
  const from = readDay('from', query.from) ?? dayBefore(to, defaultDays - 1)
  const days = (Date.parse(to) - Date.parse(from)) / dayMs + 1
  if (days < 1) throw errors.invalid({ from: ['is after the last day'] })
  if (days > maxSizeDays) throw errors.invalid({ from: [`is more than ${maxSizeDays - 1} days before the last day`] })
  return { from, to }
}

function readDay(field: string, given: string | undefined): string | undefined {
  if (given === undefined || given === '') return undefined
  const day = readDate(given)
  if (day === undefined) throw errors.invalid({ [field]: ['is not a date, such as 2031-05-06'] })
  return day
}

const dayBefore = (day: string, days: number) => new Date(Date.parse(day) - days * dayMs).toISOString().slice(0, 10)

const Counts = Type.Object({ subscribers: Count(), unsubscribed: Count(), cleaned: Count() })

const ListSizeSchema = Type.Object(
  {
    date: Type.String({ format: 'date' }),
    counts: Type.Unsafe<Static<typeof Counts> | null>({
      ...Counts,
      type: ['object', 'null'],
      description: 'The number of subscribers in each state at the end of the day; null if they were not recorded.',
    }),
    recorded_at: TimeOrNull,
  },
  { title: 'ListSize' },
)

export const SizesResponse = Type.Object({ status: Type.Literal('OK'), sizes: Type.Array(ListSizeSchema) })

/** Presents the size of a list on a day. */
export function presentListSize(
  { day, counts, recordedAt }: ListSize,
  timeZone: string,
): Static<typeof ListSizeSchema> {
  return { date: day, counts, recorded_at: formatTime(recordedAt, timeZone) }
}
