import { retryLostRaces } from '../db/retry.ts'
import { type Cancelled, cancelChunks, listCancelledQueued } from '../log/cancel.queries.ts'
import { eachMessage } from '../log/sweeps.ts'
import type { Runtime } from '../runtime.ts'

type Rt = Pick<Runtime, 'db' | 'clock'>

/**
 * Moves the queued rows of cancelled messages to cancelled, slice by slice, and returns the number of such messages. Only
 * counters depend on this, because no mark lets these texts out; after a crash the rest is found again.
 */
export const cancelQueued = eachMessage<Rt, Cancelled>({
  find: (rt, except) => listCancelledQueued(rt.db, except),
  apply: cancelAll,
})

async function cancelAll(rt: Rt, message: Cancelled): Promise<void> {
  let last: number | undefined = 0
  while (last !== undefined) {
    const after: number = last
    last = await retryLostRaces(() => cancelChunks(rt.db, message, after, rt.clock.now()))
  }
}
