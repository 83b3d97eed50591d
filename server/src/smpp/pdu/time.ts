// SMPP times (§7.1.1): YYMMDDhhmmsstnnp, sixteen characters. If `p` is R, the rest is a period from now on; if it is + or -,
// the rest is a local time that is `nn` quarters of an hour ahead of or behind UTC.

const TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d)(\d\d)([+\-R])$/
const SECOND_MS = 1_000
const DAY_S = 86_400
const MAX_DAYS = 31
const QUARTER_MS = 15 * 60 * SECOND_MS

/** Parses an SMPP time to milliseconds since 1970; returns undefined for a malformed one. Periods start at `now`. */
export function readSmppTime(text: string, now: number): number | undefined {
  const match = TIME.exec(text)
  if (!match) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, tenth = 0, quarters = 0] = match
    .slice(1, 9)
    .map(Number)
  if (match[9] === 'R') {
    const then = new Date(now)
    then.setUTCFullYear(then.getUTCFullYear() + year, then.getUTCMonth() + month, then.getUTCDate() + day)
    return then.getTime() + ((hour * 60 + minute) * 60 + second) * SECOND_MS
  }
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 || quarters > 48) return undefined
  const local = Date.UTC(2000 + year, month - 1, day, hour, minute, second, tenth * 100)
  if (new Date(local).getUTCDate() !== day) return undefined
  return local - (match[9] === '+' ? 1 : -1) * quarters * QUARTER_MS
}

/** Formats an absolute time in UTC, to the tenth of a second. */
export function absoluteTime(at: number): string {
  return `${new Date(at).toISOString().replace(/\D/g, '').slice(2, 15)}00+`
}

/**
 * Formats a relative time in whole seconds, rounded up: at least 1 second, at most 31 days. Longer periods would need
 * months.
 */
export function relativeTime(ms: number): string {
  const total = Math.min(Math.max(1, Math.ceil(ms / SECOND_MS)), MAX_DAYS * DAY_S)
  const fields = [Math.floor(total / DAY_S), Math.floor(total / 3_600) % 24, Math.floor(total / 60) % 60, total % 60]
  return `0000${fields.map((field) => String(field).padStart(2, '0')).join('')}000R`
}
