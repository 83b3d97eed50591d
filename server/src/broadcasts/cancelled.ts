import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { type CancelledMessage, cancelChunks, listCancelledQueued } from '../log/cancel.queries.ts'
import { eachMessage, type SweepRt } from '../log/sweeps.ts'

/** Statements per turn, each of five chunks: about half a second. */
const statementsPerTurn = 10

/** The last log ids of messages that need another turn. In memory: after a restart, a message is read from its beginning. */
const lastLogIdsOfDb = new WeakMap<Db, Map<number, number>>()

/**
 * Marks the queued rows of cancelled messages as cancelled, up to fifty chunks of a message per turn, and accounts take turns;
 * returns the number of messages. Only counters depend on this, because a mark would cancel these rows too; after a crash
 * the next round finds the rest.
 */
export const cancelQueued = eachMessage<SweepRt, CancelledMessage>({
  sweep: 'cancel',
  find: (rt, only) => listCancelledQueued(rt.db, only),
  apply: cancelSome,
})

async function cancelSome(rt: SweepRt, message: CancelledMessage): Promise<void> {
  const { messageId } = message
  const lastLogIds = lastLogIdsOfDb.get(rt.db) ?? new Map<number, number>()
  lastLogIdsOfDb.set(rt.db, lastLogIds)
  let last = lastLogIds.get(messageId) ?? 0
  lastLogIds.delete(messageId)
  for (let n = 0; n < statementsPerTurn; n++) {
    const after = last
    const next = await retryLostRaces(() => cancelChunks(rt.db, message, after, rt.clock.now()))
    if (next === undefined) return
    last = next
  }
  lastLogIds.set(messageId, last)
}
