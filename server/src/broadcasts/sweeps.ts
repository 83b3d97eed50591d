import type { Db } from '../db/db.ts'
import { claimFailures, endFailure, type SweepName } from '../log/failures.queries.ts'
import { finishMessages, listFinished } from '../log/finish.queries.ts'
import { manyMessages, type Sweep, type SweepRt } from '../log/sweeps.ts'
import { startDue } from '../messages/drafts/drafts.ts'
import type { Runtime } from '../runtime.ts'
import { billSent } from './bill.ts'
import { cancelQueued } from './cancelled.ts'
import { closeOverdue } from './close.ts'
import { expandOnce } from './expand.ts'
import { reopenClosed, suppressLate } from './reopen.ts'

/** Marks as sent the expanded messages without queued or submitting rows; returns whether there were any. */
export const finishSent = manyMessages<SweepRt>({
  sweep: 'finish',
  async work(rt, only, claimed) {
    const ids = only === null ? await nextFinished(rt.db) : (await listFinished(rt.db, only - 1, 1, only)).ids
    claimed(ids)
    return ids.length > 0 && (await finishMessages(rt.db, rt.clock.now(), ids)) > 0
  },
})

/** Messages that are read at a time, and times per round. */
const [messagesAtOnce, readsPerRound] = [2_000, 5]

/** The message behind which the next round reads. In memory: after a restart, the first one is read first again. */
const readUpTo = new WeakMap<Db, number>()

/** Returns the next finished messages; tens of thousands that cannot be finished yet are passed in several rounds. */
async function nextFinished(db: Db): Promise<number[]> {
  for (let n = 0; n < readsPerRound; n++) {
    const { ids, last } = await listFinished(db, readUpTo.get(db) ?? 0, messagesAtOnce, null)
    readUpTo.set(db, last ?? 0)
    if (ids.length > 0 || last === null) return ids
  }
  return []
}

/** The workers' sweeps over messages, from their start to the receipt deadline. */
export const sweeps: Record<SweepName, Sweep<Runtime>> = {
  start: { name: 'start scheduled messages', everyMs: 250, round: startDue },
  // a notification about new expansions starts a round immediately
  expand: { name: 'write audiences', everyMs: 500, round: expandOnce },
  cancel: { name: 'cancel queued texts', everyMs: 250, round: cancelQueued },
  reopen: { name: 'reopen closed chunks', everyMs: 250, round: reopenClosed },
  suppress: { name: 'suppress late texts', everyMs: 250, round: suppressLate },
  finish: { name: 'mark messages as sent', everyMs: 250, round: finishSent },
  bill: { name: 'write bills', everyMs: 1_000, round: billSent },
  // expires, requeues and closes; see closeOverdueJob
  close: { name: 'close messages at their receipt deadline', everyMs: null, round: closeOverdue },
}

/**
 * Retries failed work on messages whose pause is over, one message after the other, and returns whether there was any.
 * The sweeps' own rounds skip these messages until their work succeeds here.
 */
export async function retryFailed(rt: Runtime): Promise<boolean> {
  const due = await claimFailures(rt.db, rt.clock.now())
  for (const failure of due) {
    await sweeps[failure.sweep].round(rt, failure.messageId)
    await endFailure(rt.db, failure)
  }
  return due.length > 0
}
