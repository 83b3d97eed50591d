import { retryLostRaces } from '../db/retry.ts'
import { type Cancelled, cancelChunks, listCancelledQueued } from '../log/cancel.queries.ts'
import type { Runtime } from '../runtime.ts'

/**
 * Moves who is still queued in cancelled messages to cancelled, slice by slice, and says in how many there was anybody.
 * Nothing hangs on it but the books, for no mark lets these texts out; a crash in between leaves them to be found again.
 * A message that fails is no obstacle to the others; it is told of when they have had their turn.
 */
export async function cancelQueued(rt: Pick<Runtime, 'db' | 'clock'>): Promise<number> {
  const cancelled = await listCancelledQueued(rt.db)
  const faults: unknown[] = []
  for (const message of cancelled) await cancelAll(rt, message).catch((error) => faults.push(error))
  if (faults.length > 0) throw faults[0]
  return cancelled.length
}

async function cancelAll(rt: Pick<Runtime, 'db' | 'clock'>, message: Cancelled): Promise<void> {
  let last: number | undefined = 0
  while (last !== undefined) {
    const after: number = last
    last = await retryLostRaces(() => cancelChunks(rt.db, message, after, rt.clock.now()))
  }
}
