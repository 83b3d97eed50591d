import type { Hours } from './windows.ts'

const pattern = /^([01]\d|2[0-3]):([0-5]\d)$/

/** Minutes since midnight of `09:30`; `24:00` is the end of the day. Undefined for anything else. */
export function parseTimeOfDay(text: string): number | undefined {
  if (text === '24:00') return 1_440
  const [, hour, minute] = pattern.exec(text) ?? []
  return hour === undefined || minute === undefined ? undefined : Number(hour) * 60 + Number(minute)
}

/** `09:30`. */
export function formatTimeOfDay(minutes: number): string {
  const two = (n: number) => String(n).padStart(2, '0')
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
}

/** Hours from two times of a day; undefined when one is none, or they are not in their order. */
export function parseHours({ from, to }: { from: string; to: string }): Hours | undefined {
  const hours = { from: parseTimeOfDay(from), to: parseTimeOfDay(to) }
  if (hours.from === undefined || hours.to === undefined || hours.from >= hours.to) return undefined
  return { from: hours.from, to: hours.to }
}
