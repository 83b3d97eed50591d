import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import { findMomtReport, insertMomtReport, type MomtReport, type NewMomtReport } from './momt-reports.queries.ts'

/** Inserts a report and returns it; throws a 422 if its period ends before it starts. No job computes it yet. */
export async function orderMomtReport(rt: Pick<Runtime, 'db' | 'clock'>, report: NewMomtReport): Promise<MomtReport> {
  if (report.dateFrom > report.dateTo) throw errors.invalid({ date_to: ['must not be before date_from'] })
  return insertMomtReport(rt.db, report, rt.clock.now())
}

/** Returns the account's report; throws a 404 if it does not exist. */
export async function getMomtReport(db: Db, accountId: number, id: number): Promise<MomtReport> {
  const report = await findMomtReport(db, accountId, id)
  if (!report) throw errors.momtReportNotFound()
  return report
}
