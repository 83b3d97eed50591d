import { findByKeys } from '../db/by-keys.ts'
import type { Db } from '../db/db.ts'
import { StoreError } from '../files/file-store.ts'
import { fileStoreOf } from '../files/installed-store.ts'
import type { DoneSlice } from '../jobs/turns.ts'
import type { Runtime } from '../runtime.ts'
import { loadArchivedRows } from './archive/archived-rows.ts'
import type { Direction } from './momt-columns.ts'
import { folderOf, linkOf } from './momt-files.ts'
import { deleteRowGroups, listReportParts, replaceReportParts } from './momt-parts.queries.ts'
import {
  completeReport,
  failReport,
  insertReportEvent,
  type MomtReport,
  moveReport,
  type RunningReport,
  waitForStore,
} from './momt-reports.queries.ts'
import { presentMomtReport } from './momt-reports.schema.ts'
import { endOf } from './momt-reports.ts'
import { settle } from './momt-settling.ts'
import {
  countReported,
  countSlice,
  isDayKept,
  type LogRange,
  listRanges,
  listReportedMessages,
  listReportedMos,
  type MomtCursor,
  type MomtSlice,
  type ReportedMessage,
} from './momt-slices.queries.ts'
import { appendFooter, appendSlice } from './momt-writing.ts'

// The run of a report counts its rows and then writes them, each in slices: first the MTs by the time at which their messages were
// accepted, then the MOs by the time of their arrival. Each slice is one part of the file, and commits with its cursor.

/** Maximum number of rows of a slice. */
export const sliceRows = 200_000

/** Maximum number of messages that a slice compares with the filters. */
const messagesPerSlice = 1_000

/** The part of a direction that comes next; `missingDay` has messages of a day whose log is no longer kept. */
type Step = { slice?: MomtSlice | undefined; missingDay?: string; next: MomtCursor; isEnd: boolean; width: number }

/** Does the next slice of a report whose row `tx` has locked. */
export async function runSlice(tx: Db, rt: Runtime, report: RunningReport, rows: number): Promise<DoneSlice> {
  await findByKeys(tx)
  switch (report.stage) {
    case 'settle': {
      const settling = await settle(tx, rt, report)
      return settling.isWaiting
        ? settling.slice
        : skipTo(tx, rt, { ...report, runErrors: settling.runErrors }, 'count_mt')
    }
    case 'count_mt':
      if (!selects(report, 'mt')) return skipTo(tx, rt, report, 'count_mo')
      if (!hasRowFilters(report)) return countByCounters(tx, rt, report)
      return countStep(tx, rt, report, await nextMts(tx, rt, report, rows))
    case 'count_mo':
      if (!selects(report, 'mo')) return startWriting(tx, rt, report)
      return countStep(tx, rt, report, await nextMos(tx, report, rows))
    case 'mt':
      if (!selects(report, 'mt')) return skipTo(tx, rt, report, 'mo')
      return writeStep(tx, rt, report, await nextMts(tx, rt, report, rows))
    case 'mo':
      if (!selects(report, 'mo')) return skipTo(tx, rt, report, afterRows(report))
      return writeStep(tx, rt, report, await nextMos(tx, report, rows))
    case 'footer':
      await appendFooter(tx, rt, report)
      return skipTo(tx, rt, report, 'file')
    case 'file':
      return complete(tx, rt, report)
  }
}

const afterRows = ({ format }: RunningReport) => (format === 'parquet' ? 'footer' : 'file')

/** Returns whether texts of a direction can match the filters. */
function selects({ filters }: RunningReport, direction: Direction): boolean {
  const { statuses, messageType } = filters
  if (filters.direction !== null && filters.direction !== direction) return false
  const isOfTexts = messageType !== null || filters.reason !== null || filters.clicked !== null
  if (direction === 'mo') return !isOfTexts && (statuses === null || statuses.includes('received'))
  return statuses === null || statuses.some((status) => status !== 'received')
}

const hasRowFilters = ({ filters }: RunningReport) =>
  filters.statuses !== null ||
  filters.carrier !== null ||
  filters.phone !== null ||
  filters.reason !== null ||
  filters.clicked !== null

/** Returns whether MOs are selected by the message that they reply to. */
const selectsReplies = ({ filters }: RunningReport) => filters.listId !== null || filters.messageId !== null

const periodOf = (report: RunningReport) => ({
  accountId: report.accountId,
  from: report.dateFrom,
  to: endOf(report),
})

const startOf = ({ dateFrom }: RunningReport): MomtCursor => ({ at: dateFrom, id: 0, logId: 0 })

/** Returns the next ranges of log rows after the report's cursor: rows of one day, and not many more than `rows`. */
async function nextMts(tx: Db, rt: Runtime, report: RunningReport, rows: number): Promise<Step> {
  const { cursor, filters } = report
  const page = await listReportedMessages(tx, periodOf(report), cursor, filters, messagesPerSlice)
  const after = page.last ? { ...page.last, id: page.last.id + 1 } : cursor
  const [first] = page.messages
  if (!first) return { next: after, isEnd: page.isEnd, width: messagesPerSlice }
  const others = page.messages.findIndex(({ loggedOn }) => loggedOn !== first.loggedOn)
  const messages = others < 0 ? page.messages : page.messages.slice(0, others)
  const behind = others < 0 ? after : startOfMessage(page.messages[others] ?? first)
  const isEnd = others < 0 && page.isEnd
  const day = first.loggedOn
  const isKept = await isDayKept(tx, day)
  const cut = isKept
    ? cutRanges(await listRanges(tx, day, messages), cursor, rows)
    : await nextArchived(tx, rt, report, messages, rows)
  if (!cut) return { missingDay: day, next: behind, isEnd, width: messagesPerSlice }
  const slice = cut.ranges.length > 0 ? { day, ranges: cut.ranges, isArchived: !isKept } : undefined
  if (cut.cutAt === undefined) return { slice, next: behind, isEnd, width: cut.width }
  const { messageId, last } = cut.cutAt
  const cutMessage = messages.find(({ id }) => id === messageId) ?? first
  return { slice, next: { ...startOfMessage(cutMessage), logId: last }, isEnd: false, width: cut.width }
}

/** Loads the next rows of messages of a day from its archive, and returns their ranges; undefined if it has none that is readable. */
async function nextArchived(tx: Db, rt: Runtime, report: RunningReport, messages: ReportedMessage[], rows: number) {
  await waitForStore(tx)
  const day = { accountId: report.accountId, day: messages[0]?.loggedOn ?? '' }
  const found = await loadArchivedRows(rt, tx, day, messages, report.cursor, rows)
  return found && { ...found, width: found.rows.length }
}

const startOfMessage = ({ at, id }: { at: Date; id: number }): MomtCursor => ({ at, id, logId: 0 })

/** Returns the ranges behind the cursor with up to `rows` log ids, and the last one if ids follow it. */
function cutRanges(all: LogRange[], cursor: MomtCursor, rows: number) {
  const ranges: LogRange[] = []
  let width = 0
  for (const range of all) {
    const first = range.messageId === cursor.id ? Math.max(range.first, cursor.logId + 1) : range.first
    if (first > range.last) continue
    const last = Math.min(range.last, first + rows - width - 1)
    if (last < first) return { ranges, width, cutAt: ranges.at(-1) }
    const taken = { ...range, first, last }
    ranges.push(taken)
    width += last - first + 1
    if (last < range.last) return { ranges, width, cutAt: taken }
  }
  return { ranges, width, cutAt: undefined }
}

async function nextMos(tx: Db, report: RunningReport, rows: number): Promise<Step> {
  const { cursor, filters } = report
  const mos = await listReportedMos(tx, periodOf(report), cursor, filters.shortCode, rows)
  const last = mos.at(-1)
  return {
    slice: last && { ids: mos.map(({ id }) => id) },
    next: last ? startOfMessage(last) : cursor,
    isEnd: mos.length < rows,
    width: mos.length,
  }
}

async function countStep(tx: Db, rt: Runtime, report: RunningReport, step: Step): Promise<DoneSlice> {
  const { slice, next, isEnd, width } = step
  const isPlain = slice !== undefined && 'ids' in slice && !hasRowFilters(report) && !selectsReplies(report)
  const n = slice === undefined ? 0 : isPlain ? slice.ids.length : await countSlice(tx, slice, report.filters)
  const counted = report.counted + n
  if (!isEnd) {
    await moveReport(tx, { ...report, counted, cursor: next }, rt.clock.now())
    return { rows: Math.max(1, width), ended: false }
  }
  if (report.stage === 'count_mt') return skipTo(tx, rt, { ...report, counted }, 'count_mo')
  return startWriting(tx, rt, { ...report, counted })
}

async function countByCounters(tx: Db, rt: Runtime, report: RunningReport): Promise<DoneSlice> {
  const counted = await countReported(tx, periodOf(report), report.filters)
  return skipTo(tx, rt, { ...report, counted }, 'count_mo')
}

function startWriting(tx: Db, rt: Runtime, report: RunningReport): Promise<DoneSlice> {
  return skipTo(tx, rt, { ...report, totalRows: report.counted, importStartedAt: rt.clock.now() }, 'mt')
}

async function skipTo(tx: Db, rt: Runtime, report: RunningReport, stage: RunningReport['stage']): Promise<DoneSlice> {
  await moveReport(tx, { ...report, stage, cursor: startOf(report) }, rt.clock.now())
  return { rows: 1, ended: false }
}

async function writeStep(tx: Db, rt: Runtime, report: RunningReport, step: Step): Promise<DoneSlice> {
  const { slice, missingDay, next, isEnd, width } = step
  let rows = 0
  if (slice) {
    rows = await appendSlice(tx, rt, report, slice)
  }
  const count = report.stage === 'mt' ? 'mtCount' : 'moCount'
  const written = {
    ...report,
    [count]: report[count] + rows,
    runErrors: missingDay === undefined ? report.runErrors : noteMissing(report.runErrors, missingDay),
  }
  if (isEnd) return skipTo(tx, rt, written, report.stage === 'mt' ? 'mo' : afterRows(report))
  await moveReport(tx, { ...written, cursor: next }, rt.clock.now())
  return { rows: Math.max(1, width), ended: false }
}

const noteMissing = (errors: string | null, day: string) => {
  const note = `the log of ${day} is no longer kept`
  if (errors?.includes(note)) return errors
  return errors === null ? note : `${errors}; ${note}`
}

/** Finishes the file whose parts were committed before: if this transaction is lost, the next one finishes the same parts. */
async function complete(tx: Db, rt: Runtime, report: RunningReport): Promise<DoneSlice> {
  const parts = await listReportParts(tx, report.id)
  await waitForStore(tx)
  await replaceReportParts(tx, report.id, 0, await fileStoreOf(rt.config).finish(folderOf(report), parts))
  await deleteRowGroups(tx, report.id)
  await announceEnd(tx, rt, await completeReport(tx, report, rt.clock.now()), report.timeZone)
  return { rows: 1, ended: true }
}

/**
 * Ends a report that cannot be written, and deletes what there is of its file: now, or, if the store fails, with the files of cancelled
 * reports.
 */
export async function giveUpReport(tx: Db, rt: Runtime, report: RunningReport, error: unknown): Promise<void> {
  await waitForStore(tx)
  await fileStoreOf(rt.config)
    .delete(folderOf(report))
    .catch((failure) =>
      rt.log.warn({ err: failure, report: report.id }, 'file cannot be deleted, retrying within an hour'),
    )
  const reason = error instanceof StoreError ? error.message : fault
  await announceEnd(tx, rt, await failReport(tx, report.id, reason, rt.clock.now()), report.timeZone)
}

const fault = 'the report was given up after an internal error'

/** The link of a callback works for as long as the callback is retried. */
const callbackLinkMs = 86_400_000

function announceEnd(tx: Db, rt: Runtime, report: MomtReport, timeZone: string) {
  const now = rt.clock.now()
  const link = linkOf(rt.config, report, now, callbackLinkMs)
  return insertReportEvent(tx, report, JSON.stringify(presentMomtReport(report, { timeZone, link })), now)
}
