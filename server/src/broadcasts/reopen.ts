import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { Turn } from '../lib/turn.ts'
import {
  type ChunkWindow,
  type ClosedChunk,
  claimClosedChunks,
  type LateMessage,
  listChunksAfter,
  listLate,
  reopenChunks,
  suppressChunks,
} from '../log/reopen.queries.ts'
import { eachMessage, manyMessages, type SweepRt } from '../log/sweeps.ts'
import { type MessageTiming, readTimings } from '../messages/timing/windows.queries.ts'
import { rulesOf } from '../messages/timing/windows.ts'
import { findWindowAt, type WindowRules } from '../quiet-hours/windows.ts'
import { inSteps } from './in-steps.ts'

/** Chunks whose rows one statement suppresses; a statement may take no longer than a second. */
const chunksAtOnce = 5

/** Time in which windows are computed in one transaction; the other chunks stay closed until the next round. */
const turnMs = 200

/**
 * Sets the next window of chunks whose window has closed, by the current rules, and returns whether there were any.
 * Rows whose next window opens after the message's deadline are suppressed as `too_late`; rows without any window,
 * because the allowed hours have been narrowed to nothing, as `no_window`.
 */
export const reopenClosed = manyMessages<SweepRt>({ sweep: 'reopen', work: reopenSome })

function reopenSome(rt: SweepRt, only: number | null, claimed: (messageIds: number[]) => void): Promise<boolean> {
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      const now = rt.clock.now()
      const closed = await claimClosedChunks(tx, now, only)
      claimed([...new Set(closed.map((chunk) => chunk.messageId))])
      if (closed.length === 0) return false
      const timings = await readTimings(tx, [...new Set(closed.map((chunk) => chunk.messageId))])
      const windows: ChunkWindow[] = []
      const turn = new Turn(turnMs)
      for (const [messageId, timing] of timings) {
        if (windows.length > 0 && turn.isOver) break
        const chunks = closed.filter((chunk) => chunk.messageId === messageId)
        windows.push(...(await reopen(tx, chunks, timing, now, turn)))
      }
      await reopenChunks(
        tx,
        windows.sort((a, b) => a.id - b.id),
      )
      return true
    }),
  )
}

async function reopen(
  tx: Db,
  chunks: ClosedChunk[],
  timing: MessageTiming,
  now: Date,
  turn: Turn,
): Promise<ChunkWindow[]> {
  // the chunk has been open, so the message's local time has passed
  const rules = timing.cancelled ? undefined : await rulesOf(tx, { ...timing, localAt: null })
  const windows: ChunkWindow[] = []
  const suppressed = { too_late: [] as ClosedChunk[], no_window: [] as ClosedChunk[] }
  await turn.forEach(chunks, (chunk) => {
    const window = nextWindow(chunk.location, rules, now)
    const isLate = window && timing.deliverBy && window.opensAt >= timing.deliverBy
    const group = window === undefined ? suppressed.no_window : isLate ? suppressed.too_late : undefined
    // the rest of the group stays closed until the next round
    if (group?.length === chunksAtOnce) return
    group?.push(chunk)
    // a gateway leases the chunk again, to finish it and to mark rows that an earlier owner left submitting
    const next = group || !window ? { opensAt: now, closesAt: null } : window
    windows.push({ id: chunk.id, dueAt: next.opensAt, closesAt: next.closesAt })
  })
  for (const reason of ['too_late', 'no_window'] as const) {
    const [first] = suppressed[reason]
    const ids = suppressed[reason].map((chunk) => chunk.id)
    if (first) await suppressChunks(tx, first, ids, reason, now)
  }
  return windows
}

function nextWindow(location: string | null, rules: WindowRules | undefined, now: Date) {
  if (location === null || rules === undefined) return { opensAt: now, closesAt: null }
  return findWindowAt(location, rules, now)
}

/**
 * Suppresses as `too_late` the queued rows of messages past their deadline, including paused messages, up to fifty chunks
 * of a message per turn, and accounts take turns; returns the number of messages. A mark would suppress these rows as
 * well; this sweep finds the rows that no gateway marks.
 */
export const suppressLate = eachMessage<SweepRt, LateMessage>({
  sweep: 'suppress',
  find: (rt, only) => listLate(rt.db, rt.clock.now(), only),
  apply: inSteps(async (rt, message, after) => {
    const chunks = await listChunksAfter(rt.db, message.messageId, after, chunksAtOnce)
    const ids = chunks.map((chunk) => chunk.id)
    if (ids.length > 0) await retryLostRaces(() => suppressChunks(rt.db, message, ids, 'too_late', rt.clock.now()))
    return chunks.at(-1)?.lastLogId
  }),
})
