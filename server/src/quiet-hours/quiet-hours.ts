import type { Db } from '../db/db.ts'
import { utcDay } from '../lib/clock.ts'
import type { Runtime } from '../runtime.ts'
import {
  findSwitches,
  listQuietHours,
  type OwnHours,
  type QuietHoursRow,
  replaceOwnHours,
  updateSwitches,
} from './quiet-hours.queries.ts'
import type { Hours, WeekHours } from './windows.ts'

/** The hours that an account keeps to, by state. A day that a state's rows do not name is one without any texts. */
export async function loadQuietHours(db: Db, accountId: number): Promise<Map<string, WeekHours>> {
  return weekHoursByState(await listQuietHours(db, accountId))
}

/** By state, the hours of each day; where rows speak of the same day, all of them must allow it. */
export function weekHoursByState(
  rows: Pick<QuietHoursRow, 'state' | 'weekdays' | 'from' | 'to'>[],
): Map<string, WeekHours> {
  const weeks = new Map<string, Array<Hours | null | undefined>>()
  for (const { state, weekdays, from, to } of rows) {
    const week = weeks.get(state) ?? Array(7).fill(undefined)
    weeks.set(state, week)
    for (const weekday of weekdays) {
      const known = week[weekday - 1]
      if (known === null) continue
      const both = known ? { from: Math.max(known.from, from), to: Math.min(known.to, to) } : { from, to }
      week[weekday - 1] = both.from < both.to ? both : null
    }
  }
  return new Map([...weeks].map(([state, week]) => [state, week.map((hours) => hours ?? null)]))
}

/**
 * Pairs of rows, by their places, that speak of the same day of a state and allow no time of it in common: together they
 * would forbid the whole day, which nobody means who names hours.
 */
export function findConflicts(
  rows: Pick<QuietHoursRow, 'state' | 'weekdays' | 'from' | 'to'>[],
): Array<[number, number]> {
  return rows.flatMap((row, n) =>
    rows.slice(0, n).flatMap((other, m): Array<[number, number]> => {
      const shareDay = other.state === row.state && other.weekdays.some((day) => row.weekdays.includes(day))
      return shareDay && Math.max(other.from, row.from) >= Math.min(other.to, row.to) ? [[m, n]] : []
    }),
  )
}

export type QuietHoursChange = { broadcasts?: boolean; transactional?: boolean; own?: OwnHours[] }

/** Changes what the change names: which texts keep to quiet hours, and the account's own hours, all of them at once. */
export function changeQuietHours(
  rt: Pick<Runtime, 'db' | 'clock'>,
  accountId: number,
  { broadcasts, transactional, own }: QuietHoursChange,
): Promise<void> {
  return rt.db.tx(async (tx) => {
    await updateSwitches(tx, accountId, { broadcasts: broadcasts ?? null, transactional: transactional ?? null })
    if (own) await replaceOwnHours(tx, accountId, own, utcDay(rt.clock.now()))
  })
}

/** What an account has said about quiet hours, and the hours that follow from it. */
export async function readQuietHours(db: Db, accountId: number) {
  return { ...(await findSwitches(db, accountId)), hours: await listQuietHours(db, accountId) }
}
