import { type LocationEvidence, locationOf, type StateZone, stateZonesOf } from './locations.ts'

/** Hours of a day by the clock of a place, in minutes since its midnight; `to` is the first minute that is not in them. */
export type Hours = { from: number; to: number }

/** Monday first; null is a day on which nobody may be texted. */
export type WeekHours = Array<Hours | null>

/** When texts of a message may go out. */
export type WindowRules = {
  /** By state, `US` for all that are not named; null where quiet hours are not obeyed. */
  quietHours: ReadonlyMap<string, WeekHours> | null
  /** Hours that must be open as well, wherever the handset is: those of the list, those of the message. */
  alsoWithin: Hours[]
  /** A wall-clock time (2031-05-06T09:00:00) that must have come where the handset is. */
  localAt: string | null
}

export type SendingWindow = {
  /** From when on it may go out; the moment asked about where that is now. */
  opensAt: Date
  /** From when on it may not any more; null where nothing closes. */
  closesAt: Date | null
  /** Where the handset may be: what shares a place shares all its windows, so a chunk is of one place. */
  location: string
}

/** Whether the rules leave anything to ask: without any, everybody may be texted at any time. */
export function hasTimeRules(rules: WindowRules): boolean {
  return rules.quietHours !== null || rules.alsoWithin.length > 0 || rules.localAt !== null
}

/**
 * The window in which a handset may be texted: the one that is open at `at`, or else the next. It must be open at every
 * place that the evidence allows, by each one's own clock. Undefined when there is none within a week, as when the hours
 * of the list and those of the state never meet.
 */
export function findWindow(evidence: LocationEvidence, rules: WindowRules, at: Date): SendingWindow | undefined {
  return findWindowAt(locationOf(evidence), rules, at)
}

type Span = { start: number; end: number }

// What was found for a place holds until its window closes: a list of a million has a few hundred places.
const found = new WeakMap<WindowRules, Map<string, Span & { askedAt: number }>>()

/** The same, for a place that was kept. */
export function findWindowAt(place: string, rules: WindowRules, at: Date): SendingWindow | undefined {
  let known = found.get(rules)
  if (!known) {
    known = new Map()
    found.set(rules, known)
  }
  const now = at.getTime()
  let span: (Span & { askedAt: number }) | undefined = known.get(place)
  if (!span || now < span.askedAt || now >= span.end) {
    const next = nextSpan(stateZonesOf(place), rules, now)
    if (!next) return undefined
    span = { ...next, askedAt: now }
    known.set(place, span)
  }
  return {
    opensAt: new Date(Math.max(now, span.start)),
    closesAt: span.end === Number.POSITIVE_INFINITY ? null : new Date(span.end),
    location: place,
  }
}

const daysAhead = 8

function nextSpan(spots: StateZone[], rules: WindowRules, now: number): Span | undefined {
  const zones = [...new Set(spots.map((spot) => spot.zone))]
  const { localAt } = rules
  const notBefore = localAt === null ? now : Math.max(now, ...zones.map((zone) => localInstant(localAt, zone, now)))
  let open: Span[] = [{ start: notBefore, end: Number.POSITIVE_INFINITY }]
  if (rules.quietHours) {
    for (const { state, zone } of spots) {
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
 * When a wall-clock time comes in a zone; later by as long as the gap where clocks skip it. A zone that had it more than
 * half a day ago, because it is that far ahead of the account's, has it again the next day: nobody is texted at night for
 * being on the other side of the date line.
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

/** When these hours are open in a zone, from the day before `from` on; hours that touch at midnight are one span. */
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
    // where clocks skip or repeat the hour, the stricter reading: it opens late and closes early
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
