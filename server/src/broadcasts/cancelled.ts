import { retryLostRaces } from '../db/retry.ts'
import { type CancelledMessage, cancelChunks, listCancelledQueued } from '../log/cancel.queries.ts'
import { eachMessage, type SweepRt } from '../log/sweeps.ts'

/**
 * Marks the queued rows of cancelled messages as cancelled, a few chunks at a time, and returns the number of such
 * messages. Only counters depend on this, because a mark would cancel these rows too; after a crash the next round
 * finds the rest.
 */
export const cancelQueued = eachMessage<SweepRt, CancelledMessage>({
  sweep: 'cancel',
  find: (rt, only) => listCancelledQueued(rt.db, only),
  apply: cancelAll,
})

async function cancelAll(rt: SweepRt, message: CancelledMessage): Promise<void> {
  let last: number | undefined = 0
  while (last !== undefined) {
    const after: number = last
    last = await retryLostRaces(() => cancelChunks(rt.db, message, after, rt.clock.now()))
  }
}
