import { findByKeys } from '../db/by-keys.ts'
import type { Db } from '../db/db.ts'
import { type Stopwatch, Turn } from '../lib/turn.ts'
import { type ChunkOfSlice, type LogRow, writePersonalSlice } from '../log/personal-slice.queries.ts'
import type { SuppressionReason } from '../log/reasons.ts'
import type { RecipientSlice } from '../log/slices.queries.ts'
import type { PersonalText } from '../messages/content/personal-text.ts'
import { partsWithin } from '../messages/content/text-length.ts'
import { findWindow, type WindowRules } from '../quiet-hours/windows.ts'
import type { Cursor } from './expansion.queries.ts'
import { type AudienceRow, readAudienceSlice } from './personal-slice.queries.ts'

// The slices of a message that differs between recipients. A slice is read, computed here and written in the
// transaction that has locked the cursor. Subscribers who opt out in between are written as queued, and the mark
// suppresses them.

/** The window in which a recipient may be texted; all rows of a chunk have the same location. */
export type PlannedWindow = { opensAt: Date; closesAt: Date | null; location: string | null }

/** How a message differs between recipients: in the content, in the time at which it may be sent, or both. */
export type Personal = { text: PersonalText | undefined; rules: WindowRules | undefined }

/** Time in which texts and windows are computed between two statements; the lease of the session is 5 s. */
const turnMs = 200

/**
 * Writes the next recipients after the cursor, each in their own window and with their own content if it differs from
 * the message's, and advances the cursor: all that were read, or those that were computed before the turn was over.
 * Returns how many were written, how many subscribers the cursor passed, and whether the end of the list was reached.
 */
export async function expandPersonally(
  tx: Db,
  slice: RecipientSlice & Cursor,
  { text, rules }: Personal,
  stopwatch?: Stopwatch,
): Promise<{ written: number; passed: number; ended: boolean }> {
  await findByKeys(tx)
  const read = await readAudienceSlice(tx, { ...slice, fieldKeys: text?.fieldKeys ?? [] })
  const { people, lastPhone } = read
  if (lastPhone === null) return { written: 0, passed: 0, ended: read.ended }
  const anyTime = { opensAt: slice.dueAt, closesAt: null, location: null }
  const planned: Planned[] = []
  const computed = await new Turn(turnMs, stopwatch).forEach(people, (person) => {
    const row = logRow(person, slice, text)
    const window = rules ? findWindow(person, rules, slice.dueAt) : anyTime
    if (window) planned.push({ row, window })
    else planned.push({ row: { ...row, reason: row.reason ?? 'no_window', content: null }, window: anyTime })
  })
  const isWhole = computed === people.length
  const { rows, chunks } = groupByWindow(planned, slice.chunkRows)
  await writePersonalSlice(tx, {
    messageId: slice.messageId,
    loggedOn: slice.loggedOn,
    lane: slice.lane,
    at: slice.dueAt,
    rows,
    chunks,
    lastPhone: isWhole ? lastPhone : (people[computed - 1] as AudienceRow).phone,
  })
  return { written: rows.length, passed: isWhole ? read.rows : computed, ended: isWhole && read.ended }
}

/** Returns a person's row: suppressed if they have opted out, or if their text is blank or has too many parts. */
function logRow(
  person: AudienceRow,
  message: { content: string; maxParts: number | null; partCount: number },
  text: PersonalText | undefined,
): LogRow {
  const suppressed = (reason: SuppressionReason): LogRow => ({
    phone: person.phone,
    reason,
    content: null,
    partCount: message.partCount,
  })
  if (!person.subscribed) return suppressed('opted_out')
  if (!text) return { phone: person.phone, reason: null, content: null, partCount: message.partCount }
  const content = text.textFor(person)
  if (content.trim() === '') return suppressed('blank')
  const partCount = partsWithin(content, message.maxParts)
  if (partCount === undefined) return suppressed('too_long')
  return { phone: person.phone, reason: null, content: content === message.content ? null : content, partCount }
}

type Planned = { row: LogRow; window: PlannedWindow }

/** Groups recipients by window, preserving their order within a window, and splits the groups into chunks. */
export function groupByWindow(planned: Planned[], chunkRows: number): { rows: LogRow[]; chunks: ChunkOfSlice[] } {
  const groups = new Map<string, { window: PlannedWindow; rows: LogRow[] }>()
  for (const { row, window } of planned) {
    const key = `${window.location} ${window.opensAt.getTime()}`
    const group = groups.get(key)
    if (group) group.rows.push(row)
    else groups.set(key, { window, rows: [row] })
  }
  const ordered = [...groups.values()].sort((a, b) => a.window.opensAt.getTime() - b.window.opensAt.getTime())
  const rows: LogRow[] = []
  const chunks: ChunkOfSlice[] = []
  for (const group of ordered) {
    for (let at = 0; at < group.rows.length; at += chunkRows) {
      const chunk = group.rows.slice(at, at + chunkRows)
      chunks.push({ ...group.window, first: rows.length, last: rows.length + chunk.length - 1 })
      rows.push(...chunk)
    }
  }
  return { rows, chunks }
}
