import type { Db } from '../db/db.ts'
import { param, raw, type Sql, sql } from '../db/sql.ts'
import { nextAccount } from '../jobs/next-account.sql.ts'
import type { Page } from '../lib/paging.ts'
import type { Format } from './momt-columns.ts'
import { deleteReportParts } from './momt-parts.queries.ts'
import type { MomtCursor, MomtFilters } from './momt-slices.queries.ts'

export type NewMomtReport = {
  accountId: number
  dateFrom: Date
  dateFromOffset: string
  dateTo: Date
  dateToOffset: string
  filters: MomtFilters
  format: Format
  gzip: boolean
  webhookCallbackUrl: string | null
}

export type MomtReport = NewMomtReport & {
  id: number
  importStartedAt: Date | null
  importCompletedAt: Date | null
  totalRows: number | null
  processedRows: number
  moCount: number
  mtCount: number
  countsCalculated: boolean
  runErrors: string | null
  cancelled: boolean | null
  expiredAt: Date | null
  createdAt: Date
  updatedAt: Date
}

const reportColumns = /* sql */ `
  r.id, r.account_id as "accountId", r.date_from as "dateFrom", r.date_from_offset as "dateFromOffset", r.date_to as "dateTo",
  r.date_to_offset as "dateToOffset", r.format, r.gzip, r.webhook_callback_url as "webhookCallbackUrl",
  json_build_object('direction', r.direction, 'statuses', r.statuses, 'messageType', r.message_type, 'shortCode', r.short_code,
                    'listId', r.list_id, 'messageId', r.message_id, 'carrier', r.carrier, 'phone', r.phone, 'reason', r.reason,
                    'clicked', r.clicked, 'link', r.link) as filters,
  r.import_started_at as "importStartedAt", r.import_completed_at as "importCompletedAt", r.total_rows as "totalRows",
  r.processed_rows as "processedRows", r.mo_count as "moCount", r.mt_count as "mtCount",
  r.counts_calculated as "countsCalculated", r.run_errors as "runErrors", r.cancelled, r.expired_at as "expiredAt",
  r.created_at as "createdAt", r.updated_at as "updatedAt"`

/** Returns the account's report with this id. */
export function findMomtReport(db: Db, accountId: number, id: number) {
  return db.maybeOne<MomtReport>(
    'find_momt_report',
    /* sql */ `select ${reportColumns} from momt_reports r where r.id = $1 and r.account_id = $2`,
    [id, accountId],
  )
}

/** Returns a page of the account's reports, newest first, and their number. */
export async function listMomtReports(db: Db, accountId: number, { offset, perPage }: Page) {
  const { count } = await db.one<{ count: number }>(
    'count_momt_reports',
    /* sql */ `select count(*) as count from momt_reports where account_id = $1`,
    [accountId],
  )
  const records = await db.many<MomtReport>(
    'list_momt_reports',
    /* sql */ `
    select ${reportColumns} from momt_reports r where r.account_id = $1 order by r.id desc offset $2 limit $3`,
    [accountId, offset, perPage],
  )
  return { count, records }
}

/** Returns whether the account has accepted a message with this id. */
export async function hasReportedMessage(db: Db, accountId: number, messageId: number): Promise<boolean> {
  const found = await db.maybeOne(
    'has_reported_message',
    /* sql */ `select from messages where id = $1 and account_id = $2 and accepted_at is not null`,
    [messageId, accountId],
  )
  return found !== undefined
}

/** Returns how many reports of the account have not ended. */
export async function countOpenReports(tx: Db, accountId: number): Promise<number> {
  const { n } = await tx.one<{ n: number }>(
    'count_open_reports',
    /* sql */ `
    select count(*) as n from momt_reports where account_id = $1 and import_completed_at is null and cancelled is null`,
    [accountId],
  )
  return n
}

/** Inserts a report, which is not due before `settlesAt`, and returns it. */
export function insertMomtReport(db: Db, report: NewMomtReport, now: Date, settlesAt: Date) {
  const { filters, dateFrom } = report
  const at = param(now)
  const settles = param(settlesAt)
  return db.one<MomtReport>(
    'insert_momt_report',
    sql`
    insert into momt_reports as r (account_id, date_from, date_from_offset, date_to, date_to_offset, webhook_callback_url,
                                   direction, statuses, message_type, short_code, list_id, message_id, carrier, phone, reason,
                                   clicked, link, format, gzip, cursor_at, settles_at, due_at, created_at, updated_at)
    values (${report.accountId}, ${dateFrom}, ${report.dateFromOffset}, ${report.dateTo}, ${report.dateToOffset},
            ${report.webhookCallbackUrl}, ${filters.direction}, ${filters.statuses}, ${filters.messageType},
            ${filters.shortCode}, ${filters.listId}, ${filters.messageId}, ${filters.carrier}, ${filters.phone},
            ${filters.reason}, ${filters.clicked}, ${filters.link}, ${report.format}, ${report.gzip}, ${dateFrom},
            clock_timestamp() + (${settles}::timestamptz - ${at}::timestamptz),
            greatest(${settles}::timestamptz, ${at}::timestamptz), ${at}, ${at})
    returning ${raw(reportColumns)}`,
  )
}

/** Cancels a report that has not ended, and returns it; undefined if it has. */
export function cancelMomtReport(db: Db, accountId: number, id: number, now: Date) {
  return db.maybeOne<MomtReport>(
    'cancel_momt_report',
    /* sql */ `
    update momt_reports r set cancelled = true, updated_at = $3
     where r.id = $1 and r.account_id = $2 and r.import_completed_at is null and r.cancelled is null
    returning ${reportColumns}`,
    [id, accountId, now],
  )
}

/** A report whose row its transaction has locked. */
export type RunningReport = MomtReport & {
  stage: 'settle' | 'count_mt' | 'count_mo' | 'mt' | 'mo' | 'footer' | 'file'
  cursor: MomtCursor
  counted: number
  failures: number
  partCount: number
  timeZone: string
}

const isDue = (now: Sql) => sql`r.import_completed_at is null and r.cancelled is null and r.due_at <= ${now}`

/** Returns the first account above `after` with due reports, or the first of all; undefined if none is due. */
export async function findNextAccountWithReports(db: Db, after: number, at: Date): Promise<number | undefined> {
  const row = await db.maybeOne<{ accountId: number }>(
    'find_next_account_with_reports',
    nextAccount(raw('momt_reports r'), isDue(param(at)), after),
  )
  return row?.accountId
}

/** Locks the account's oldest due report and returns it. */
export async function lockNextReport(tx: Db, accountId: number, at: Date): Promise<RunningReport | undefined> {
  const row = await tx.maybeOne<
    Omit<RunningReport, 'cursor'> & { cursorAt: Date; cursorId: number; cursorLogId: number }
  >(
    'lock_next_report',
    sql`
    select ${raw(reportColumns)}, r.stage, r.counted, r.failures, r.cursor_at as "cursorAt", r.cursor_id as "cursorId",
           r.cursor_log_id as "cursorLogId", a.time_zone as "timeZone",
           (select coalesce(max(part_number), 0) from momt_report_parts where report_id = r.id) as "partCount"
      from momt_reports r join accounts a on a.id = r.account_id
     where r.account_id = ${accountId} and ${isDue(param(at))}
     order by r.id limit 1 for update of r`,
  )
  if (!row) return undefined
  const { cursorAt, cursorId, cursorLogId, ...report } = row
  return { ...report, cursor: { at: cursorAt, id: cursorId, logId: cursorLogId } }
}

/** Stores the progress of a report. */
export function moveReport(tx: Db, report: RunningReport, at: Date) {
  const { id, stage, cursor, counted, totalRows, importStartedAt, moCount, mtCount, runErrors } = report
  const processed = param(moCount + mtCount)
  return tx.exec(
    'move_momt_report',
    sql`
    update momt_reports
       set stage = ${stage}, cursor_at = ${cursor.at}, cursor_id = ${cursor.id}, cursor_log_id = ${cursor.logId},
           counted = ${counted}, import_started_at = ${importStartedAt}, mo_count = ${moCount}, mt_count = ${mtCount},
           processed_rows = ${processed}, total_rows = ${totalRows === null ? null : Math.max(totalRows, moCount + mtCount)},
           run_errors = ${runErrors}, updated_at = ${at}, failures = 0
     where id = ${id}`,
  )
}

/** Completes a report and returns it: its rows are those that were written. */
export function completeReport(tx: Db, { id, moCount, mtCount, runErrors }: RunningReport, at: Date) {
  return tx.one<MomtReport>(
    'complete_momt_report',
    /* sql */ `
    update momt_reports r
       set mo_count = $2, mt_count = $3, processed_rows = $2::bigint + $3::bigint, total_rows = $2::bigint + $3::bigint, run_errors = $4, counts_calculated = true,
           import_completed_at = $5, updated_at = $5, failures = 0
     where id = $1
    returning ${reportColumns}`,
    [id, moCount, mtCount, runErrors, at],
  )
}

/** Ends a report without a file, and returns it. */
export async function failReport(tx: Db, id: number, reason: string, at: Date): Promise<MomtReport> {
  await deleteReportParts(tx, id)
  return tx.one<MomtReport>(
    'fail_momt_report',
    /* sql */ `
    update momt_reports r set run_errors = $2, import_completed_at = $3, updated_at = $3 where id = $1
    returning ${reportColumns}`,
    [id, reason, at],
  )
}

/** Inserts the event of a report that has ended, with the report as the API presents it (JSON), if somebody receives it. */
export function insertReportEvent(tx: Db, { accountId, webhookCallbackUrl }: MomtReport, report: string, at: Date) {
  return tx.exec(
    'insert_report_event',
    /* sql */ `
    insert into event_outbox (account_id, type, occurred_at, callback_url, time_zone, facts)
    select a.id, 'momt_report', $2, $3, a.time_zone, jsonb_build_object('report', $4::text)
      from accounts a where a.id = $1 and (a.event_feed or $3::text is not null)`,
    [accountId, at, webhookCallbackUrl, report],
  )
}

/** Sets the failed turns of a report, and the time from which it is due again. */
export function postponeReport(tx: Db, id: number, failures: number, until: Date) {
  return tx.exec('postpone_momt_report', /* sql */ `update momt_reports set failures = $2, due_at = $3 where id = $1`, [
    id,
    failures,
    until,
  ])
}

/** Lets this transaction wait for the file store for a minute: it locks only the report, for which nobody waits but its cancellation. */
export function waitForStore(tx: Db) {
  return tx.one(
    'wait_for_file_store',
    /* sql */ `select set_config('idle_in_transaction_session_timeout', '60s', true)`,
  )
}

/** Returns a report whose file exists, of any account. */
export function findReportFile(db: Db, id: number) {
  return db.maybeOne<{ id: number; accountId: number; format: Format; gzip: boolean; completedAt: Date }>(
    'find_report_file',
    /* sql */ `
    select id, account_id as "accountId", format, gzip, import_completed_at as "completedAt"
      from momt_reports where id = $1 and counts_calculated and expired_at is null`,
    [id],
  )
}

/** Returns some reports whose files are to be deleted: those completed before a time, and what is left of cancelled and failed ones. */
export function listExpiredReports(db: Db, before: Date, limit: number) {
  return db.many<{ id: number; accountId: number }>(
    'list_expired_reports',
    /* sql */ `
    (select id, account_id as "accountId" from momt_reports
      where expired_at is null and counts_calculated and import_completed_at < $1
      order by import_completed_at limit $2)
     union all
    (select id, account_id from momt_reports
      where expired_at is null and not counts_calculated and (cancelled or import_completed_at is not null)
      order by id limit $2)
     limit $2`,
    [before, limit],
  )
}

/** Marks the file of a report as deleted. */
export async function expireReport(tx: Db, id: number, at: Date): Promise<void> {
  await deleteReportParts(tx, id)
  await tx.exec('expire_report', /* sql */ `update momt_reports set expired_at = $2 where id = $1`, [id, at])
}
