import type { Db } from '../db/db.ts'
import type { SweepRt } from '../log/sweeps.ts'

/** Steps per turn of a message, each of five chunks: about half a second. */
const stepsPerTurn = 10

/**
 * Returns a function that does one turn of a message: it calls `step` with the last log id that the step before has reached, until a
 * step returns undefined, because nothing follows, or the turn ends. The next turn of the message continues there. In memory: after a
 * restart, a message is read from its beginning.
 */
export function inSteps<M extends { messageId: number }>(
  step: (rt: SweepRt, message: M, after: number) => Promise<number | undefined>,
): (rt: SweepRt, message: M) => Promise<void> {
  const lastLogIdsOfDb = new WeakMap<Db, Map<number, number>>()
  return async (rt, message) => {
    const { messageId } = message
    const lastLogIds = lastLogIdsOfDb.get(rt.db) ?? new Map<number, number>()
    lastLogIdsOfDb.set(rt.db, lastLogIds)
    let last = lastLogIds.get(messageId) ?? 0
    lastLogIds.delete(messageId)
    for (let n = 0; n < stepsPerTurn; n++) {
      const next = await step(rt, message, last)
      if (next === undefined) return
      last = next
    }
    lastLogIds.set(messageId, last)
  }
}
