/** Formats an instant for the API: ISO 8601 with seconds and the zone's offset at that time; null stays null. */
export function formatTime(instant: Date, timeZone: string): string
export function formatTime(instant: Date | null, timeZone: string): string | null
export function formatTime(instant: Date | null, timeZone: string): string | null {
  if (instant === null) return null
  const ms = instant.getTime()
  if (ms < firstMs || ms >= endMs) {
    return Temporal.Instant.fromEpochMilliseconds(ms).toString({ timeZone, smallestUnit: 'second' })
  }
  const offset = offsetOf(Math.floor(ms / minuteMs), timeZone)
  return new Date(ms + offset.ms).toISOString().slice(0, -'.000Z'.length) + offset.text
}

const minuteMs = 60_000
// since 1980, offsets are whole minutes and change at whole minutes; years of five digits have a sign
const [firstMs, endMs] = [Date.UTC(1980), Date.UTC(9999)]

type Offset = { ms: number; text: string }

const maxOffsets = 20_000
const offsetsByZone = new Map<string, Map<number, Offset>>()

/** Returns a zone's offset in a minute since the epoch; stored, because Temporal takes ten times as long. */
function offsetOf(minute: number, timeZone: string): Offset {
  let offsets = offsetsByZone.get(timeZone)
  if (!offsets) {
    offsets = new Map()
    offsetsByZone.set(timeZone, offsets)
  }
  let offset = offsets.get(minute)
  if (!offset) {
    const zoned = Temporal.Instant.fromEpochMilliseconds(minute * minuteMs).toZonedDateTimeISO(timeZone)
    offset = { ms: zoned.offsetNanoseconds / 1e6, text: zoned.offset }
    if (offsets.size >= maxOffsets) offsets.clear()
    offsets.set(minute, offset)
  }
  return offset
}

/** As `formatTime`, but with milliseconds, which the contract requires in custom fields and donations. */
export function formatTimeWithMs(instant: Date, timeZone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(instant.getTime()).toString({
    timeZone,
    smallestUnit: 'millisecond',
  })
}
