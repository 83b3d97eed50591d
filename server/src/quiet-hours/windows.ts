import { type LocationEvidence, locationOf, type StateZone, stateZonesOf } from './locations.ts'

/** Hours of a day in local time, in minutes since midnight; `to` is the first minute after them. */
export type Hours = { from: number; to: number }

/** Hours by weekday, Monday first; null is a day on which nobody may be texted. */
export type WeekHours = Array<Hours | null>

/** The rules for the sending windows of a message. */
export type WindowRules = {
  /** Hours by state, `US` for states without an entry; null if the message does not observe quiet hours. */
  quietHours: ReadonlyMap<string, WeekHours> | null
  /** Hours of the list and of the message, in the local time of the phone, which must also be open. */
  alsoWithin: Hours[]
  /** Earliest local time at the phone (2031-05-06T09:00:00). */
  localAt: string | null
}

export type SendingWindow = {
  /** The start of the window; the time passed to `findWindow` if the window is open then. */
  opensAt: Date
  /** The end of the window; null if it never closes. */
  closesAt: Date | null
  /** Phones in the same location have the same windows, so each chunk has one location. */
  location: string
}

/** Returns whether the rules restrict sending times. */
export function hasTimeRules(rules: WindowRules): boolean {
  return rules.quietHours !== null || rules.alsoWithin.length > 0 || rules.localAt !== null
}

/**
 * Returns the sending window of a phone that is open at `at`, or the next one. A window is open when every state and zone
 * that the evidence supports allows it in its local time. Returns undefined if no window opens within a week, for example
 * because the hours of the list and of the state do not overlap.
 */
export function findWindow(evidence: LocationEvidence, rules: WindowRules, at: Date): SendingWindow | undefined {
  return findWindowAt(locationOf(evidence), rules, at)
}

type Span = { start: number; end: number }

// A span is valid until its window closes. A list of a million subscribers has a few hundred locations.
const spansByRules = new WeakMap<WindowRules, Map<string, Span & { computedAt: number }>>()

/** As `findWindow`, for a stored location. */
export function findWindowAt(location: string, rules: WindowRules, at: Date): SendingWindow | undefined {
  let spans = spansByRules.get(rules)
  if (!spans) {
    spans = new Map()
    spansByRules.set(rules, spans)
  }
  const now = at.getTime()
  let span: (Span & { computedAt: number }) | undefined = spans.get(location)
  if (!span || now < span.computedAt || now >= span.end) {
    const next = nextSpan(stateZonesOf(location), rules, now)
    if (!next) return undefined
    span = { ...next, computedAt: now }
    spans.set(location, span)
  }
  return {
    opensAt: new Date(Math.max(now, span.start)),
    closesAt: span.end === Number.POSITIVE_INFINITY ? null : new Date(span.end),
    location,
  }
}

const daysAhead = 8

function nextSpan(stateZones: StateZone[], rules: WindowRules, now: number): Span | undefined {
  const zones = [...new Set(stateZones.map(({ zone }) => zone))]
  const { localAt } = rules
  const notBefore = localAt === null ? now : Math.max(now, ...zones.map((zone) => localInstant(localAt, zone, now)))
  let open: Span[] = [{ start: notBefore, end: Number.POSITIVE_INFINITY }]
  if (rules.quietHours) {
    for (const { state, zone } of stateZones) {
      const week = rules.quietHours.get(state) ?? rules.quietHours.get('US')
      if (week) open = intersect(open, openSpans(zone, week, notBefore))
    }
  }
  for (const hours of rules.alsoWithin) {
    for (const zone of zones) open = intersect(open, openSpans(zone, Array(7).fill(hours), notBefore))
  }
  return open[0]
}

const hour = 3_600_000

/**
 * Returns the instant of a local time in a zone; if the clocks skip that time, the instant is later by the length of the
 * gap. If the zone had that time more than half a day ago, it is across the date line from the account, and the instant is
 * on the next day; otherwise people there would be texted at night.
 */
function localInstant(localAt: string, zone: string, now: number): number {
  let local = Temporal.PlainDateTime.from(localAt)
  let instant = local.toZonedDateTime(zone).epochMilliseconds
  while (now - instant > 12 * hour) {
    local = local.add({ days: 1 })
    instant = local.toZonedDateTime(zone).epochMilliseconds
  }
  return instant
}

/** Returns the spans in which these hours are open in a zone, from the day before `from`; adjacent spans are merged. */
function openSpans(zone: string, week: WeekHours, from: number): Span[] {
  const first = Temporal.Instant.fromEpochMilliseconds(from)
    .toZonedDateTimeISO(zone)
    .toPlainDate()
    .subtract({ days: 1 })
  const spans: Span[] = []
  for (let n = 0; n <= daysAhead + 1; n++) {
    const day = first.add({ days: n })
    const hours = week[day.dayOfWeek - 1]
    if (!hours) continue
    // if the clocks skip or repeat an hour, the hours start late and end early
    const start = wallInstant(day, hours.from, zone, 'later')
    const end = wallInstant(day, hours.to, zone, 'earlier')
    const last = spans.at(-1)
    if (last && last.end >= start) last.end = Math.max(last.end, end)
    else if (start < end) spans.push({ start, end })
  }
  return spans
}

function wallInstant(day: Temporal.PlainDate, minutes: number, zone: string, disambiguation: 'earlier' | 'later') {
  const midnight = day.toPlainDateTime('00:00')
  return midnight.add({ minutes }).toZonedDateTime(zone, { disambiguation }).epochMilliseconds
}

function intersect(some: Span[], others: Span[]): Span[] {
  const both: Span[] = []
  for (const one of some) {
    for (const other of others) {
      const start = Math.max(one.start, other.start)
      const end = Math.min(one.end, other.end)
      if (start < end) both.push({ start, end })
    }
  }
  return both
}
