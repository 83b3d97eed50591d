import { findByKeys } from '../db/by-keys.ts'
import type { Db } from '../db/db.ts'
import { type ChunkOfSlice, type LogRow, writePersonalSlice } from '../log/personal-slice.queries.ts'
import type { RecipientSlice } from '../log/slices.queries.ts'
import { partsWithin } from '../messages/content/content.ts'
import type { PersonalText } from '../messages/content/personal-text.ts'
import { findWindow, type WindowRules } from '../quiet-hours/windows.ts'
import type { Cursor } from './expansion.queries.ts'
import { type AudienceRow, readAudienceSlice } from './personal-slice.queries.ts'

// The slices of a message that differs between recipients. They are read, computed here and written, in the transaction
// that has locked the cursor. Subscribers who leave in between are written as queued, and stopped by the mark.

/** When a recipient may be texted; all rows of a chunk have the same location. */
export type PlannedWindow = { opensAt: Date; closesAt: Date | null; location: string | null }

/** How a message differs between recipients: by its text, by the time at which it may go out, or both. */
export type Personal = { text: PersonalText | undefined; rules: WindowRules | undefined }

/**
 * Writes the next recipients after the cursor, each with their own text where it differs from the message's and in their
 * own window, and moves the cursor. Returns how many were written, and whether that was the end of the list.
 */
export async function expandPersonally(
  tx: Db,
  slice: RecipientSlice & Cursor,
  { text, rules }: Personal,
): Promise<{ written: number; ended: boolean }> {
  await findByKeys(tx)
  const { people, lastPhone, ended } = await readAudienceSlice(tx, { ...slice, fieldKeys: text?.fieldKeys ?? [] })
  if (lastPhone === null) return { written: 0, ended }
  const anyTime = { opensAt: slice.dueAt, closesAt: null, location: null }
  const planned = people.map((person) => {
    const row = logRow(person, slice, text)
    const window = rules ? findWindow(person, rules, slice.dueAt) : anyTime
    if (window) return { row, window }
    return { row: { ...row, reason: row.reason ?? 'no_window', content: null }, window: anyTime }
  })
  const { rows, chunks } = layOut(planned, slice.chunkRows)
  await writePersonalSlice(tx, {
    messageId: slice.messageId,
    loggedOn: slice.loggedOn,
    lane: slice.lane,
    at: slice.dueAt,
    rows,
    chunks,
    lastPhone,
  })
  return { written: rows.length, ended }
}

/** A person's row: suppressed when they have left, or when their text is longer than the message may be. */
function logRow(
  person: AudienceRow,
  message: { content: string; maxParts: number | null; partCount: number },
  text: PersonalText | undefined,
): LogRow {
  const suppressed = (reason: string): LogRow => ({
    phone: person.phone,
    reason,
    content: null,
    partCount: message.partCount,
  })
  if (!person.subscribed) return suppressed('opted_out')
  if (!text) return { phone: person.phone, reason: null, content: null, partCount: message.partCount }
  const own = text.textFor(person)
  if (own.trim() === '') return suppressed('blank')
  const partCount = partsWithin(own, message.maxParts)
  if (partCount === undefined) return suppressed('too_long')
  return { phone: person.phone, reason: null, content: own === message.content ? null : own, partCount }
}

type Planned = { row: LogRow; window: PlannedWindow }

/** Groups recipients by window, in the order of their phones within a window, and splits the groups into chunks. */
export function layOut(planned: Planned[], chunkRows: number): { rows: LogRow[]; chunks: ChunkOfSlice[] } {
  const groups = new Map<string, { window: PlannedWindow; rows: LogRow[] }>()
  for (const { row, window } of planned) {
    const key = `${window.location} ${window.opensAt.getTime()}`
    const group = groups.get(key)
    if (group) group.rows.push(row)
    else groups.set(key, { window, rows: [row] })
  }
  const inOrder = [...groups.values()].sort((a, b) => a.window.opensAt.getTime() - b.window.opensAt.getTime())
  const rows: LogRow[] = []
  const chunks: ChunkOfSlice[] = []
  for (const group of inOrder) {
    for (let at = 0; at < group.rows.length; at += chunkRows) {
      const some = group.rows.slice(at, at + chunkRows)
      chunks.push({ ...group.window, first: rows.length, last: rows.length + some.length - 1 })
      rows.push(...some)
    }
  }
  return { rows, chunks }
}
