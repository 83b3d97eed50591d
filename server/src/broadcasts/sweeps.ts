import { finishMessages, listFinished } from '../log/finish.queries.ts'
import { manyMessages, type Sweep } from '../log/sweeps.ts'
import type { Runtime } from '../runtime.ts'
import { billSent } from './bill.ts'
import { cancelQueued } from './cancelled.ts'
import { closeOverdue } from './close.ts'
import { expandOnce } from './expand.ts'
import { reopenClosed, suppressLate } from './reopen.ts'

/** Marks as sent the expanded messages without queued or submitting rows; returns whether there were any. */
export const finishSent = manyMessages<Pick<Runtime, 'db' | 'clock'>>(async (rt, choice, claimed) => {
  const ids = await listFinished(rt.db, choice)
  claimed(ids)
  return ids.length > 0 && (await finishMessages(rt.db, rt.clock.now(), ids)) > 0
})

type SweepName = 'expand' | 'cancel' | 'reopen' | 'suppress' | 'finish' | 'bill' | 'close'

/** The workers' sweeps over accepted messages, from the first slice of the audience to the receipt deadline. */
export const sweeps: Record<SweepName, Sweep<Runtime>> = {
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
