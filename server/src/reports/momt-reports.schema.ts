import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { idParam } from '../http/path-params.ts'
import { Count, formatTime, Id, TextOrNull, Time, TimeOrNull, timeFault, Whole, WholeOrNull } from '../http/schema.ts'
import { type CallbackUrlCheck, maxUrlLength } from '../lib/callback-url.ts'
import { formatInstant, type InstantWithOffset, parseInstant, readDate } from '../lib/dates.ts'
import type { MomtReport, NewMomtReport } from './momt-reports.queries.ts'

/** The id of a report in a path. */
export const MomtReportIdParam = idParam('Id of the report.', errors.momtReportNotFound)

export const MomtReportBody = Type.Object({
  date_from: Type.String({
    maxLength: 40,
    description: 'ISO 8601 with an offset, which is returned, or a plain date: a day in UTC, both days inclusive.',
  }),
  date_to: Type.String({
    maxLength: 40,
    description: 'ISO 8601 with an offset, which is returned, or a plain date: a day in UTC, both days inclusive.',
  }),
  webhook_callback_url: Type.Optional(
    TextOrNull({ maxLength: maxUrlLength, description: 'The http or https URL to call when the report is complete.' }),
  ),
})

const IntegerOrNull = WholeOrNull(0, Number.MAX_SAFE_INTEGER)
/** A filter that only reports of the vendor's staff have. */
const NoFilter = Type.Null({ description: 'A filter; always null.' })

export const MomtReportSchema = Type.Object(
  {
    id: Id('Id of the report.'),
    account_id: Id('Id of the account.'),
    s3_url: TextOrNull({ description: 'URL of the file; null until it exists.' }),
    import_started_at: TimeOrNull,
    import_completed_at: TimeOrNull,
    total_rows: IntegerOrNull,
    processed_rows: Count(),
    percent_complete: Whole(0, 100),
    mo_count: Count(),
    mt_count: Count(),
    shortcode: NoFilter,
    date_range: Type.Literal('json'),
    date_from: Time,
    date_to: Time,
    campaign: NoFilter,
    carrier: NoFilter,
    phone_number: NoFilter,
    direction: NoFilter,
    status_array: NoFilter,
    created_at: Time,
    updated_at: Time,
    counts_calculated: Type.Boolean({ description: 'Whether the report is complete.' }),
    type: Type.Null(),
    is_csv: Type.Literal(false),
    webhook_callback_url: TextOrNull(),
    run_errors: TextOrNull(),
    message_type: NoFilter,
    cancelled: Type.Unsafe<boolean | null>({ type: ['boolean', 'null'] }),
  },
  { title: 'MomtReport' },
)

export const MomtReportResponse = Type.Object({ status: Type.Literal('OK'), momt_report: MomtReportSchema })

/** Returns a report as the API presents it, with its keys in the order of the contract. */
export function presentMomtReport(report: MomtReport, timeZone: string): Static<typeof MomtReportSchema> {
  const { totalRows, processedRows } = report
  return {
    id: report.id,
    account_id: report.accountId,
    s3_url: report.s3Url,
    import_started_at: formatTime(report.importStartedAt, timeZone),
    import_completed_at: formatTime(report.importCompletedAt, timeZone),
    total_rows: totalRows,
    processed_rows: processedRows,
    percent_complete: report.countsCalculated ? 100 : totalRows ? Math.floor((processedRows / totalRows) * 100) : 0,
    mo_count: report.moCount,
    mt_count: report.mtCount,
    shortcode: null,
    date_range: 'json',
    date_from: formatInstant({ instant: report.dateFrom, offset: report.dateFromOffset }),
    date_to: formatInstant({ instant: report.dateTo, offset: report.dateToOffset }),
    campaign: null,
    carrier: null,
    phone_number: null,
    direction: null,
    status_array: null,
    created_at: formatTime(report.createdAt, timeZone),
    updated_at: formatTime(report.updatedAt, timeZone),
    counts_calculated: report.countsCalculated,
    type: null,
    is_csv: false,
    webhook_callback_url: report.webhookCallbackUrl,
    run_errors: report.runErrors,
    message_type: null,
    cancelled: report.cancelled,
  }
}

/** Returns the report of a validated body; throws a 422 if a time or the URL is malformed. */
export function readMomtReport(
  body: Static<typeof MomtReportBody>,
  accountId: number,
  faultOf: CallbackUrlCheck,
): NewMomtReport {
  const faults: Record<string, string[]> = {}
  const from = readTime('date_from', body.date_from, faults)
  const to = readTime('date_to', body.date_to, faults)
  const webhookCallbackUrl = body.webhook_callback_url || null
  const urlFault = webhookCallbackUrl === null ? undefined : faultOf(webhookCallbackUrl)
  if (urlFault !== undefined) faults.webhook_callback_url = [urlFault]
  if (!from || !to || Object.keys(faults).length > 0) throw errors.invalid(faults)
  return {
    accountId,
    dateFrom: from.instant,
    dateFromOffset: from.offset,
    dateTo: to.instant,
    dateToOffset: to.offset,
    webhookCallbackUrl,
  }
}

/** Reads a time, or a plain date as the whole day in UTC: its first second as a start, its last one as an end. */
function readTime(
  field: 'date_from' | 'date_to',
  given: string,
  faults: Record<string, string[]>,
): InstantWithOffset | undefined {
  const day = readDate(given.trim())
  const time = parseInstant(
    day === undefined ? given : `${day}T${field === 'date_from' ? '00:00:00' : '23:59:59.999'}Z`,
  )
  if (!time) faults[field] = [timeFault]
  return time
}
