import { retryLostRaces } from '../db/retry.ts'
import type { Runtime } from '../runtime.ts'
import { cancelChunks, listCancelledQueued } from './cancelled.queries.ts'

/**
 * Moves who is still queued in cancelled messages to cancelled, slice by slice, and says in how many there was anybody.
 * Nothing hangs on it but the books, for no mark lets these texts out; a crash in between leaves them to be found again.
 */
export async function cancelQueued(rt: Pick<Runtime, 'db' | 'clock'>): Promise<number> {
  const cancelled = await listCancelledQueued(rt.db)
  for (const message of cancelled) {
    let last: number | undefined = 0
    while (last !== undefined) {
      const after: number = last
      last = await retryLostRaces(() => cancelChunks(rt.db, message, after, rt.clock.now()))
    }
  }
  return cancelled.length
}
