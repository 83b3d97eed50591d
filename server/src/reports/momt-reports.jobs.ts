import { StoreError } from '../files/file-store.ts'
import { fileStoreOf } from '../files/installed-store.ts'
import type { Job } from '../jobs/jobs.ts'
import { type TurnQueue, turnsJob } from '../jobs/turns.ts'
import { folderOf } from './momt-files.ts'
import {
  expireReport,
  findNextAccountWithReports,
  listExpiredReports,
  lockNextReport,
  postponeReport,
  type RunningReport,
} from './momt-reports.queries.ts'
import { runReportsJob } from './momt-reports.ts'
import { giveUpReport, runSlice, sliceRows } from './momt-run.ts'

const batchSize = 100

/** Reports that have not ended: those of an account in their order, and accounts take turns. */
export const reportsQueue: TurnQueue<RunningReport> = {
  name: runReportsJob,
  maxRows: sliceRows,
  nextAccount: findNextAccountWithReports,
  claim: lockNextReport,
  apply: runSlice,
  postpone: (tx, { id }, failures, until) => postponeReport(tx, id, failures, until),
  giveUp: giveUpReport,
  options: { isPermanent: (error) => error instanceof StoreError && error.isPermanent },
}

/** Runs reports of the message log. */
export const runReports = turnsJob(reportsQueue)

/** Deletes the files of cancelled reports, and of those completed more than `CARILLON_REPORT_DAYS` ago. */
export const deleteReportFilesJob: Job = {
  name: 'momt-reports.forget',
  async run(rt, _payload, signal) {
    const before = new Date(rt.clock.now().getTime() - rt.config.reportDays * 86_400_000)
    for (;;) {
      const expired = await listExpiredReports(rt.db, before, batchSize)
      for (const report of expired) {
        if (signal.aborted) return
        // first the file: a link to a report without a file is better than a file that nobody deletes
        await fileStoreOf(rt.config).delete(folderOf(report))
        await rt.db.tx((tx) => expireReport(tx, report.id, rt.clock.now()))
      }
      if (expired.length < batchSize) return
    }
  },
}
