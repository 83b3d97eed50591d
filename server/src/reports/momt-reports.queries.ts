import type { Db } from '../db/db.ts'

export type NewMomtReport = {
  accountId: number
  dateFrom: Date
  dateFromOffset: string
  dateTo: Date
  dateToOffset: string
  webhookCallbackUrl: string | null
}

export type MomtReport = NewMomtReport & {
  id: number
  importStartedAt: Date | null
  importCompletedAt: Date | null
  s3Url: string | null
  totalRows: number | null
  processedRows: number
  moCount: number
  mtCount: number
  countsCalculated: boolean
  runErrors: string | null
  cancelled: boolean | null
  createdAt: Date
  updatedAt: Date
}

const reportColumns = /* sql */ `
  id, account_id as "accountId", date_from as "dateFrom", date_from_offset as "dateFromOffset", date_to as "dateTo",
  date_to_offset as "dateToOffset", webhook_callback_url as "webhookCallbackUrl",
  import_started_at as "importStartedAt", import_completed_at as "importCompletedAt", s3_url as "s3Url",
  total_rows as "totalRows", processed_rows as "processedRows", mo_count as "moCount", mt_count as "mtCount",
  counts_calculated as "countsCalculated", run_errors as "runErrors", cancelled, created_at as "createdAt",
  updated_at as "updatedAt"`

/** Returns the account's report with this id. */
export function findMomtReport(db: Db, accountId: number, id: number) {
  return db.maybeOne<MomtReport>(
    'find_momt_report',
    /* sql */ `select ${reportColumns} from momt_reports where id = $1 and account_id = $2`,
    [id, accountId],
  )
}

/** Inserts a report and returns it. */
export function insertMomtReport(db: Db, report: NewMomtReport, now: Date) {
  return db.one<MomtReport>(
    'insert_momt_report',
    /* sql */ `
    insert into momt_reports (account_id, date_from, date_from_offset, date_to, date_to_offset, webhook_callback_url,
                              created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $7)
    returning ${reportColumns}`,
    [
      report.accountId,
      report.dateFrom,
      report.dateFromOffset,
      report.dateTo,
      report.dateToOffset,
      report.webhookCallbackUrl,
      now,
    ],
  )
}
