import type { Db } from '../db/db.ts'
import { wake } from '../db/wake.ts'
import { SliceSizes } from '../lib/slice-size.ts'
import type { Stopwatch } from '../lib/turn.ts'
import { readShortUrls } from '../links/links.ts'
import { endExpansion, writeSlice } from '../log/slices.queries.ts'
import { eachMessage, type Round, type SweepRt } from '../log/sweeps.ts'
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

/** The sizes of the slices whose rows differ in cost, by message: those that read custom fields or tags. */
const sizesOfDb = new WeakMap<Db, SliceSizes>()

/**
 * Writes the next slice of the audience of each broadcast that is not completely expanded, and returns whether there
 * was any. A slice and its cursor commit together, so a crash between two slices neither loses nor duplicates a
 * recipient.
 */
export const expandOnce: Round<SweepRt, boolean> = async (rt, only) => (await expandEach(rt, only)) > 0

const expandEach = eachMessage<SweepRt, OpenExpansion>({
  sweep: 'expand',
  find: (rt, only) => listOpenExpansions(rt.db, only),
  apply: (rt, { messageId }) => expandSlice(rt, messageId),
})

/**
 * Writes the next slice of one broadcast; returns false if another worker has locked it or its audience is complete.
 */
export async function expandSlice(
  rt: Pick<Runtime, 'db' | 'clock' | 'config'>,
  messageId: number,
  stopwatch: Stopwatch = () => performance.now(),
): Promise<boolean> {
  const sizes = sizesOfDb.get(rt.db) ?? new SliceSizes(sliceRows)
  sizesOfDb.set(rt.db, sizes)
  const size = sizes.of(messageId)
  const startedAt = stopwatch()
  try {
    const slice = await rt.db.tx((tx) => writeNext(tx, rt, messageId, size.rows, stopwatch))
    if (slice?.isUneven) size.took(slice.passed, stopwatch() - startedAt, slice.begunAt - startedAt)
    if (slice?.ended) sizes.delete(messageId)
    return slice !== undefined
  } catch (error) {
    size.failed()
    throw error
  }
}

type WrittenSlice = { ended: boolean; passed: number; isUneven: boolean; begunAt: number }

async function writeNext(
  tx: Db,
  rt: Pick<Runtime, 'clock' | 'config'>,
  messageId: number,
  unevenRows: number,
  stopwatch: Stopwatch,
): Promise<WrittenSlice | undefined> {
  const now = rt.clock.now()
  const cursor = await claimExpansion(tx, messageId)
  if (!cursor) return undefined
  const urls = await readShortUrls(tx, rt, cursor.linkBase, messageId)
  const text = await readPersonalText(tx, cursor.listId, cursor, urls)
  const rules = await windowRulesOf(tx, messageId)
  const begunAt = stopwatch()
  const isPersonal = text !== undefined || rules !== undefined
  const isUneven = isPersonal || cursor.isFiltered
  const rows = isUneven ? unevenRows : cursor.cursorPhone === 0 ? firstSliceRows : sliceRows
  const slice = { ...cursor, messageId, rows, chunkRows, lane: lanes.broadcast, dueAt: now }
  const { written, passed, ended } = isPersonal
    ? await expandPersonally(tx, slice, { text, rules }, stopwatch)
    : { passed: rows, ...(await writeSlice(tx, slice, sliceAudience(slice, messageId, cursor.isFiltered))) }
  if (ended) await endExpansion(tx, messageId, now)
  if (written > 0) await wake(tx, 'chunks')
  return { ended, passed, isUneven, begunAt }
}
