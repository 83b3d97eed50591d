import type { Db } from '../db/db.ts'
import { announceWork, type DoneSlice } from '../jobs/turns.ts'
import type { Runtime } from '../runtime.ts'
import { postponeReport, type RunningReport } from './momt-reports.queries.ts'
import { endOf, runReportsJob } from './momt-reports.ts'
import { isSettled } from './momt-settling.queries.ts'

// A text has the time of its message's acceptance, or of its arrival, which is read from the clock before the transaction commits. So
// a report whose period has just ended waits until no open transaction can add a text to it, and until broadcasts of the period are expanded:
// otherwise such a text would be in no report.

/** Time after which a report no longer waits; only a failing expansion or a blocked session takes so long. */
const maxWaitMs = 600_000
const checkMs = 1_000

export type Settling = { isWaiting: true; slice: DoneSlice } | { isWaiting: false; runErrors: string | null }

/** Returns whether a report must wait for the texts of its period, and then postpones it. */
export async function settle(tx: Db, rt: Runtime, report: RunningReport): Promise<Settling> {
  const now = rt.clock.now()
  if (await isSettled(tx, { ...report, to: endOf(report) })) return { isWaiting: false, runErrors: null }
  if (now.getTime() - report.createdAt.getTime() > maxWaitMs) {
    rt.log.error({ report: report.id }, 'report no longer waits for texts of its period')
    return { isWaiting: false, runErrors: 'texts that were still being written after ten minutes may be missing' }
  }
  await postponeReport(tx, report.id, report.failures, new Date(now.getTime() + checkMs))
  await announceWork(tx, runReportsJob, { startAfterSeconds: checkMs / 1_000 })
  return { isWaiting: true, slice: { rows: 1, ended: true } }
}
