import { wake } from '../db/wake.ts'
import { endExpansion, writeSlice } from '../log/slices.queries.ts'
import { eachMessage, type Round } from '../log/sweeps.ts'
import { readPersonalText } from '../messages/content/personal-text.ts'
import { lanes } from '../messages/messages.ts'
import { windowRulesOf } from '../messages/timing/windows.ts'
import type { Runtime } from '../runtime.ts'
import { sliceAudience } from './audience.sql.ts'
import { claimExpansion, listOpenExpansions, type OpenExpansion } from './expansion.queries.ts'
import { expandPersonally } from './personal-slice.ts'

/**
 * Rows per chunk: enough that leasing costs little compared with sending, few enough to share a broadcast among
 * gateways.
 */
const chunkRows = 1_000
/** The first slice is small, so that texts are sent while the rest is written. */
const firstSliceRows = 1_000
/** At most one block of log ids (16,384); takes about 0.2 s, far below the limit of one second per statement. */
const sliceRows = 10_000

/**
 * Writes the next slice of the audience of each broadcast that is not completely expanded, and returns whether there
 * was any. A slice and its cursor commit together, so a crash between two slices neither loses nor duplicates a
 * recipient.
 */
export const expandOnce: Round<Pick<Runtime, 'db' | 'clock'>, boolean> = async (rt) => (await expandEach(rt)) > 0

const expandEach = eachMessage<Pick<Runtime, 'db' | 'clock'>, OpenExpansion>({
  find: (rt, except) => listOpenExpansions(rt.db, except),
  apply: (rt, { messageId }) => expandSlice(rt, messageId),
})

/**
 * Writes the next slice of one broadcast; returns false if another worker has locked it or its audience is complete.
 */
export function expandSlice(rt: Pick<Runtime, 'db' | 'clock'>, messageId: number): Promise<boolean> {
  return rt.db.tx(async (tx) => {
    const cursor = await claimExpansion(tx, messageId)
    if (!cursor) return false
    const rows = cursor.cursorPhone === 0 ? firstSliceRows : sliceRows
    const now = rt.clock.now()
    const slice = { ...cursor, messageId, rows, chunkRows, lane: lanes.broadcast, dueAt: now }
    const text = await readPersonalText(tx, cursor.listId, cursor.content)
    const rules = await windowRulesOf(tx, messageId)
    const isUniform = text === undefined && rules === undefined
    const { written, ended } = await (isUniform
      ? writeSlice(tx, slice, sliceAudience(slice, messageId, cursor.isFiltered))
      : expandPersonally(tx, slice, { text, rules }))
    if (ended) await endExpansion(tx, messageId, now)
    if (written > 0) await wake(tx, 'chunks')
    return true
  })
}
