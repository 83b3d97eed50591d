import { rejectAtCap } from '../accounts/caps.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { announceWork } from '../jobs/turns.ts'
import type { Page } from '../lib/paging.ts'
import { findLinkOfMessage } from '../links/links.queries.ts'
import { findList } from '../lists/lists.queries.ts'
import type { Runtime } from '../runtime.ts'
import { findShortCode } from '../short-codes/short-codes.queries.ts'
import {
  cancelMomtReport,
  countOpenReports,
  findMomtReport,
  hasReportedMessage,
  insertMomtReport,
  listMomtReports,
  type MomtReport,
  type NewMomtReport,
} from './momt-reports.queries.ts'

export const runReportsJob = 'momt-reports.run'

/**
 * Texts of a period are stored by transactions that begin at most this long after its end: a request waits up to five seconds for a
 * connection to the database after it has read the clock, and the clocks of machines differ.
 */
export const latestTextMs = 10_000

/** Returns the end of a report's period: texts that come after its order are not in it, even if the period ends later. */
export const endOf = ({ dateTo, createdAt }: Pick<MomtReport, 'dateTo' | 'createdAt'>) =>
  dateTo < createdAt ? dateTo : createdAt

/**
 * Orders a report and returns it. Throws a 422 if its period ends before it starts or has not begun, if the account has no such
 * list or short code, no such accepted message or the message no such link, or if it has too many open reports.
 */
export function orderMomtReport(
  rt: Pick<Runtime, 'db' | 'clock' | 'config'>,
  report: NewMomtReport,
): Promise<MomtReport> {
  const { accountId, dateFrom, dateTo, filters } = report
  const now = rt.clock.now()
  if (dateFrom > dateTo) throw errors.invalid({ date_to: ['must not be before date_from'] })
  if (dateFrom > now) throw errors.invalid({ date_from: ['must not be in the future'] })
  return rt.db.tx(async (tx) => {
    if (filters.listId !== null && !(await findList(tx, accountId, filters.listId))) {
      throw errors.invalid({ campaign: ['is not a list of this account'] })
    }
    if (filters.shortCode !== null && !(await findShortCode(tx, accountId, filters.shortCode))) {
      throw errors.invalid({ shortcode: ['is not a short code of this account'] })
    }
    if (filters.messageId !== null && !(await hasReportedMessage(tx, accountId, filters.messageId))) {
      throw errors.invalid({ message_id: ['is not a message of this account that was accepted'] })
    }
    if (
      filters.messageId !== null &&
      filters.link !== null &&
      !(await findLinkOfMessage(tx, filters.messageId, filters.link))
    ) {
      throw errors.invalid({ link: ['is not a tracked link of this message'] })
    }
    await rejectAtCap(tx, rt, { name: 'open_momt_reports', accountId }, () => countOpenReports(tx, accountId))
    const settlesAt = new Date(endOf({ dateTo, createdAt: now }).getTime() + latestTextMs)
    const ordered = await insertMomtReport(tx, report, now, settlesAt)
    const waitMs = settlesAt.getTime() - now.getTime()
    await announceWork(tx, runReportsJob, waitMs > 0 ? { startAfterSeconds: Math.ceil(waitMs / 1_000) } : {})
    return ordered
  })
}

/** Returns the account's report; throws a 404 if it does not exist. */
export async function getMomtReport(db: Db, accountId: number, id: number): Promise<MomtReport> {
  const report = await findMomtReport(db, accountId, id)
  if (!report) throw errors.momtReportNotFound()
  return report
}

/** Returns a page of the account's reports, newest first. */
export function getMomtReportPage(db: Db, accountId: number, page: Page) {
  return listMomtReports(db, accountId, page)
}

/** Cancels a report that has not ended; throws a 422 if it has, and a 404 if it does not exist. */
export async function cancelReport({ db, clock }: Pick<Runtime, 'db' | 'clock'>, accountId: number, id: number) {
  const cancelled = await cancelMomtReport(db, accountId, id, clock.now())
  if (cancelled) return cancelled
  const report = await getMomtReport(db, accountId, id)
  throw errors.invalid({ momt_report: [report.cancelled ? 'is cancelled already' : 'has ended already'] })
}
