import { retryLostRaces } from '../db/retry.ts'
import { type CancelledMessage, cancelChunks, listCancelledQueued } from '../log/cancel.queries.ts'
import { eachMessage, type SweepRt } from '../log/sweeps.ts'
import { inSteps } from './in-steps.ts'

/**
 * Marks the queued rows of cancelled messages as cancelled, up to fifty chunks of a message per turn, and accounts take turns;
 * returns the number of messages. Only counters depend on this, because a mark would cancel these rows too; after a crash
 * the next round finds the rest.
 */
export const cancelQueued = eachMessage<SweepRt, CancelledMessage>({
  sweep: 'cancel',
  find: (rt, only) => listCancelledQueued(rt.db, only),
  apply: inSteps((rt, message, after) => retryLostRaces(() => cancelChunks(rt.db, message, after, rt.clock.now()))),
})
