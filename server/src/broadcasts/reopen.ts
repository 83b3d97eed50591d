import type { Choice } from '../db/all-or-each.ts'
import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import {
  type ClosedChunk,
  claimClosed,
  type Late,
  listChunksAfter,
  listLate,
  type Reopening,
  reopenChunks,
  suppressChunks,
} from '../log/reopen.queries.ts'
import { eachMessage, manyMessages } from '../log/sweeps.ts'
import { type MessageTiming, readTimings } from '../messages/timing/windows.queries.ts'
import { rulesOf } from '../messages/timing/windows.ts'
import { findWindowAt, type WindowRules } from '../quiet-hours/windows.ts'
import type { Runtime } from '../runtime.ts'

type Rt = Pick<Runtime, 'db' | 'clock'>

/** Chunks whose rows are suppressed by one statement, which may take no longer than a second. */
const chunksAtOnce = 5

/**
 * Gives chunks whose window has closed their next window, by the current rules, and returns whether there were any. Rows
 * without a window before the message's deadline are suppressed as too late; rows without any window, because the hours
 * were narrowed until nothing was left of them, as having no window.
 */
export const reopenClosed = manyMessages<Rt>((rt, choice, claimed) => reopenSome(rt, choice, claimed))

function reopenSome(rt: Rt, choice: Choice, claimed: (messageIds: number[]) => void): Promise<boolean> {
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      const now = rt.clock.now()
      const closed = await claimClosed(tx, now, choice)
      claimed([...new Set(closed.map((chunk) => chunk.messageId))])
      if (closed.length === 0) return false
      const timings = await readTimings(tx, [...new Set(closed.map((chunk) => chunk.messageId))])
      const reopenings: Reopening[] = []
      for (const [messageId, timing] of timings) {
        const chunks = closed.filter((chunk) => chunk.messageId === messageId)
        reopenings.push(...(await reopen(tx, chunks, timing, now)))
      }
      await reopenChunks(
        tx,
        reopenings.sort((a, b) => a.id - b.id),
      )
      return true
    }),
  )
}

async function reopen(tx: Db, chunks: ClosedChunk[], timing: MessageTiming, now: Date): Promise<Reopening[]> {
  // the chunk was open, so its local time has come
  const rules = timing.cancelled ? undefined : await rulesOf(tx, { ...timing, localAt: null })
  const reopenings: Reopening[] = []
  const ends = { too_late: [] as ClosedChunk[], no_window: [] as ClosedChunk[] }
  for (const chunk of chunks) {
    const window = nextWindow(chunk.location, rules, now)
    const isLate = window && timing.deliverBy && window.opensAt >= timing.deliverBy
    const end = window === undefined ? ends.no_window : isLate ? ends.too_late : undefined
    // the other chunks stay closed until the next round
    if (end?.length === chunksAtOnce) continue
    end?.push(chunk)
    // a gateway leases the chunk once more, to finish it and to mark rows that its predecessor left submitting
    const next = end || !window ? { opensAt: now, closesAt: null } : window
    reopenings.push({ id: chunk.id, dueAt: next.opensAt, closesAt: next.closesAt })
  }
  for (const reason of ['too_late', 'no_window'] as const) {
    const [first] = ends[reason]
    const ids = ends[reason].map((chunk) => chunk.id)
    if (first) await suppressChunks(tx, first, ids, reason, now)
  }
  return reopenings
}

function nextWindow(location: string | null, rules: WindowRules | undefined, now: Date) {
  if (location === null || rules === undefined) return { opensAt: now, closesAt: null }
  return findWindowAt(location, rules, now)
}

/**
 * Suppresses as too late the queued rows of messages past their deadline, paused ones as well, slice by slice, and returns
 * the number of such messages. The marks let none of these texts out; this is for rows that no mark comes to.
 */
export const suppressLate = eachMessage<Rt, Late>({
  find: (rt, except) => listLate(rt.db, rt.clock.now(), except),
  apply: suppressAll,
})

async function suppressAll(rt: Rt, message: Late): Promise<void> {
  for (let after = 0; ; ) {
    const chunks = await listChunksAfter(rt.db, message.messageId, after, chunksAtOnce)
    const last = chunks.at(-1)
    if (!last) break
    const ids = chunks.map((chunk) => chunk.id)
    await retryLostRaces(() => suppressChunks(rt.db, message, ids, 'too_late', rt.clock.now()))
    after = last.lastLogId
  }
}
