import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageSchema } from '../http/pagination.ts'
import { idParam } from '../http/path-params.ts'
import { Count, Id, TextOrNull, Time, TimeOrNull, timeFault, Whole, WholeOrNull } from '../http/schema.ts'
import { type CallbackUrlCheck, maxUrlLength } from '../lib/callback-url.ts'
import { formatInstant, type InstantWithOffset, parseInstant, readDate } from '../lib/dates.ts'
import { formatTime } from '../lib/format-time.ts'
import { clickedWords } from '../links/clicked.sql.ts'
import { reasons } from '../log/reasons.ts'
import { parseShortCode } from '../short-codes/short-codes.ts'
import { formatPhoneNumber, parsePhoneNumber } from '../sms/phone-number.ts'
import { type Format, momtStatuses } from './momt-columns.ts'
import type { MomtReport, NewMomtReport } from './momt-reports.queries.ts'

const extension = { 'x-extension': true }

/** The id of a report in a path. */
export const MomtReportIdParam = idParam('Id of the report.', errors.momtReportNotFound)

export const MomtReportBody = Type.Object({
  date_from: Type.String({
    maxLength: 40,
    description:
      'ISO 8601 with an offset, which is returned, or a plain date: from the start of this day in UTC. Inclusive.',
  }),
  date_to: Type.String({
    maxLength: 40,
    description:
      'ISO 8601 with an offset, which is returned, or a plain date: to 23:59:59.999 of this day in UTC. Inclusive.',
  }),
  webhook_callback_url: Type.Optional(
    TextOrNull({ maxLength: maxUrlLength, description: 'The http or https URL to call when the report is complete.' }),
  ),
  direction: Type.Optional(TextOrNull({ description: 'Only `mt` (texts to phones) or `mo` (texts from phones).' })),
  status_array: Type.Optional(
    Type.Unsafe<string[] | null>({
      type: ['array', 'null'],
      items: { type: 'string', maxLength: 40 },
      maxItems: 20,
      description: `Only rows with these statuses: ${momtStatuses.join(', ')}.`,
    }),
  ),
  message_type: Type.Optional(
    TextOrNull({ description: 'Only texts to phones of this type: broadcast, transactional, system or test.' }),
  ),
  carrier: Type.Optional(
    TextOrNull({ maxLength: 200, description: 'Only numbers of this carrier, by the name of a look-up.' }),
  ),
  shortcode: Type.Optional(TextOrNull({ maxLength: 40, description: 'Only texts of this short code of the account.' })),
  campaign: Type.Optional(
    Type.Unsafe<number | null>({
      type: ['integer', 'null'],
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Only texts of the list with this id.',
    }),
  ),
  message_id: Type.Optional(
    Type.Unsafe<number | null>({
      type: ['integer', 'null'],
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'Only the texts of this message, and the replies to it; the period must contain its acceptance.',
      ...extension,
    }),
  ),
  phone_number: Type.Optional(TextOrNull({ maxLength: 40, description: 'Only texts to or from this number.' })),
  reason: Type.Optional(
    TextOrNull({
      maxLength: 100,
      description: `Only texts to phones that were not delivered for this reason: ${reasons.join(', ')}.`,
      ...extension,
    }),
  ),
  clicked: Type.Optional(
    TextOrNull({
      description:
        'Only texts to recipients with a click of a person on a tracked link of the message (human) or any click (any), or without one ' +
        '(not_human, none); requires `message_id`.',
      ...extension,
    }),
  ),
  link: Type.Optional(
    TextOrNull({
      maxLength: 5_000,
      description: 'Only the clicks on this link of the message, as in its content; requires `clicked`.',
      ...extension,
    }),
  ),
  is_csv: Type.Optional(Type.Boolean({ description: 'Whether the file is CSV instead of JSON lines.' })),
  is_parquet: Type.Optional(
    Type.Boolean({ description: 'Whether the file is a Parquet file, whose columns are compressed.', ...extension }),
  ),
  gzip: Type.Optional(Type.Boolean({ description: 'Whether a file of JSON lines or CSV is compressed with gzip.' })),
})

const IntegerOrNull = WholeOrNull(0, Number.MAX_SAFE_INTEGER)

export const MomtReportSchema = Type.Object(
  {
    id: Id('Id of the report.'),
    account_id: Id('Id of the account.'),
    s3_url: TextOrNull({
      description:
        'Link to the file, which is valid for an hour; each read returns a new one. Null until the file exists.',
    }),
    import_started_at: TimeOrNull,
    import_completed_at: TimeOrNull,
    total_rows: IntegerOrNull,
    processed_rows: Count(),
    percent_complete: Whole(0, 100),
    mo_count: Count(),
    mt_count: Count(),
    shortcode: TextOrNull({ description: 'A filter.' }),
    date_range: Type.Literal('json'),
    date_from: Time,
    date_to: Time,
    campaign: IntegerOrNull,
    carrier: TextOrNull({ description: 'A filter.' }),
    phone_number: TextOrNull({ description: 'A filter.' }),
    direction: TextOrNull({ description: 'A filter.' }),
    status_array: Type.Unsafe<string[] | null>({
      type: ['array', 'null'],
      items: { type: 'string' },
      description: 'A filter.',
    }),
    created_at: Time,
    updated_at: Time,
    counts_calculated: Type.Boolean({ description: 'Whether the report is complete.' }),
    type: Type.Null(),
    is_csv: Type.Boolean(),
    webhook_callback_url: TextOrNull(),
    run_errors: TextOrNull(),
    message_type: TextOrNull({ description: 'A filter.' }),
    cancelled: Type.Unsafe<boolean | null>({ type: ['boolean', 'null'] }),
    message_id: Type.Optional(Type.Integer({ ...Id('A filter, if there is one.'), ...extension })),
    reason: Type.Optional(Type.String({ description: 'A filter, if there is one.', ...extension })),
    clicked: Type.Optional(Type.String({ description: 'A filter, if there is one.', ...extension })),
    link: Type.Optional(Type.String({ description: 'A filter, if there is one.', ...extension })),
    is_parquet: Type.Optional(Type.Boolean({ description: 'True if the file is a Parquet file.', ...extension })),
  },
  { title: 'MomtReport' },
)

export const MomtReportResponse = Type.Object({ status: Type.Literal('OK'), momt_report: MomtReportSchema })

export const MomtReportPage = pageSchema('momt_reports', MomtReportSchema)

/** What presenting a report requires: the account's time zone, and the link to its file. */
export type Presentation = { timeZone: string; link: string | null }

/** Returns a report as the API presents it, with its keys in the order of the contract. */
export function presentMomtReport(
  report: MomtReport,
  { timeZone, link }: Presentation,
): Static<typeof MomtReportSchema> {
  const { filters } = report
  return {
    id: report.id,
    account_id: report.accountId,
    s3_url: link,
    import_started_at: formatTime(report.importStartedAt, timeZone),
    import_completed_at: formatTime(report.importCompletedAt, timeZone),
    total_rows: report.totalRows,
    processed_rows: report.processedRows,
    percent_complete: percentOf(report),
    mo_count: report.moCount,
    mt_count: report.mtCount,
    shortcode: filters.shortCode,
    date_range: 'json',
    date_from: formatInstant({ instant: report.dateFrom, offset: report.dateFromOffset }),
    date_to: formatInstant({ instant: report.dateTo, offset: report.dateToOffset }),
    campaign: filters.listId,
    carrier: filters.carrier,
    phone_number: filters.phone === null ? null : formatPhoneNumber(filters.phone),
    direction: filters.direction,
    status_array: filters.statuses,
    created_at: formatTime(report.createdAt, timeZone),
    updated_at: formatTime(report.updatedAt, timeZone),
    counts_calculated: report.countsCalculated,
    type: null,
    is_csv: report.format === 'csv',
    webhook_callback_url: report.webhookCallbackUrl,
    run_errors: report.runErrors,
    message_type: filters.messageType,
    cancelled: report.cancelled,
    ...(filters.messageId === null ? {} : { message_id: filters.messageId }),
    ...(filters.reason === null ? {} : { reason: filters.reason }),
    ...(filters.clicked === null ? {} : { clicked: filters.clicked }),
    ...(filters.link === null ? {} : { link: filters.link }),
    ...(report.format === 'parquet' ? { is_parquet: true } : {}),
  }
}

/** 100 only when the file can be downloaded; texts that are sent meanwhile can make the rows more than were counted. */
function percentOf({ countsCalculated, totalRows, processedRows }: MomtReport): number {
  if (countsCalculated) return 100
  return totalRows ? Math.min(99, Math.floor((processedRows / totalRows) * 100)) : 0
}

const directions = ['mt', 'mo'] as const
const messageTypes = ['broadcast', 'transactional', 'system', 'test'] as const

/** Returns the report of a validated body; throws a 422 if a time, a filter or the URL is malformed. */
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
  const filters = {
    direction: readWord('direction', body.direction, directions, faults),
    statuses: readStatuses(body.status_array, faults),
    messageType: readWord('message_type', body.message_type, messageTypes, faults),
    shortCode: readShortCode(body.shortcode),
    listId: body.campaign ?? null,
    messageId: body.message_id ?? null,
    carrier: body.carrier || null,
    phone: readPhone(body.phone_number, faults),
    reason: readWord('reason', body.reason, reasons, faults),
    clicked: readWord('clicked', body.clicked, clickedWords, faults),
    link: body.link || null,
  }
  if (filters.clicked !== null && filters.messageId === null) faults.clicked = ['requires message_id']
  if (filters.link !== null && !body.clicked) faults.link = ['requires clicked']
  const format = readFormat(body, faults)
  if (!from || !to || Object.keys(faults).length > 0) throw errors.invalid(faults)
  return {
    accountId,
    dateFrom: from.instant,
    dateFromOffset: from.offset,
    dateTo: to.instant,
    dateToOffset: to.offset,
    filters,
    format,
    gzip: body.gzip ?? false,
    webhookCallbackUrl,
  }
}

type Faults = Record<string, string[]>

function readFormat({ is_csv, is_parquet, gzip }: Static<typeof MomtReportBody>, faults: Faults): Format {
  if (!is_parquet) return is_csv ? 'csv' : 'json'
  if (is_csv) faults.is_parquet = ['must not be true together with is_csv']
  if (gzip) faults.gzip = ['must not be true for a Parquet file, whose columns are compressed']
  return 'parquet'
}

function readWord<W extends string>(
  field: string,
  given: string | null | undefined,
  words: readonly W[],
  faults: Faults,
) {
  if (!given) return null
  const word = words.find((each) => each === given.trim().toLowerCase())
  if (word === undefined) faults[field] = [`must be ${words.join(' or ')}`]
  return word ?? null
}

function readStatuses(given: string[] | null | undefined, faults: Faults): string[] | null {
  if (!given || given.length === 0) return null
  const words = given.map((status) => status.trim().toLowerCase())
  const unknown = words.filter((word) => !momtStatuses.includes(word))
  if (unknown.length > 0) faults.status_array = [`must be some of ${momtStatuses.join(', ')}`]
  return [...new Set(words)]
}

/** Returns the short code as it is stored. Text that cannot be a short code is returned unchanged, and then matches no short code. */
function readShortCode(given: string | null | undefined): string | null {
  if (!given) return null
  return parseShortCode(given) ?? given
}

function readPhone(given: string | null | undefined, faults: Faults): number | null {
  if (!given) return null
  const phone = parsePhoneNumber(given)
  if (phone === undefined) faults.phone_number = ['is not a valid phone number']
  return phone ?? null
}

/** Reads a time, or a plain date as the whole day in UTC: its first millisecond as a start, its last one as an end. */
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
