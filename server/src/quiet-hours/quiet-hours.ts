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

/** Returns the hours in force for an account, by state. No text is sent to a state on a weekday for which it has no row. */
export async function loadQuietHours(db: Db, accountId: number): Promise<Map<string, WeekHours>> {
  return weekHoursByState(await listQuietHours(db, accountId))
}

/** Returns the hours of each weekday by state; rows with the same weekday are intersected, because all must allow a time. */
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
 * Returns the index pairs of rows that share a weekday of a state but no time of that day. Together they would forbid the
 * whole day, which is never intended.
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

/** Updates the settings in the change. `own` replaces all of the account's own hours. */
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

/** Returns the account's quiet hours settings and the hours in force for it. */
export async function readQuietHours(db: Db, accountId: number) {
  return { ...(await findSwitches(db, accountId)), hours: await listQuietHours(db, accountId) }
}
