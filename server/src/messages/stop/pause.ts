import { retryLostRaces } from '../../db/retry.ts'
import { wake } from '../../db/wake.ts'
import { errors } from '../../errors.ts'
import { flagChunks, holdExpansion } from '../../log/pause.queries.ts'
import type { Runtime } from '../../runtime.ts'
import { findStatus, markPaused } from './stop.queries.ts'

type Rt = Pick<Runtime, 'db' | 'clock'>

/**
 * Pauses a message that is being sent; pausing twice has no further effect. Its chunks are flagged in the same
 * transaction, and later chunks of its audience as they are written. No mark allows their texts, so after the commit only
 * texts marked before can still be sent, and `waitUntilIdle` waits for those. Queued rows stay queued.
 */
export function pauseMessage(rt: Rt, listId: number, messageId: number): Promise<void> {
  return setPaused(rt, listId, messageId, rt.clock.now(), 'paused')
}

/** Resumes a paused message: exactly the rows that are still queued are sent. No effect on one that is not paused. */
export function resumeMessage(rt: Rt, listId: number, messageId: number): Promise<void> {
  return setPaused(rt, listId, messageId, null, 'resumed')
}

function setPaused(rt: Rt, listId: number, messageId: number, at: Date | null, done: string): Promise<void> {
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      // the cursor before the message, as an expansion locks them; and once more for one that has just been started
      await holdExpansion(tx, listId, messageId)
      if (!(await markPaused(tx, listId, messageId, at))) {
        const status = await findStatus(tx, listId, messageId)
        if (status === undefined) throw errors.messageNotFound()
        throw errors.wrongMessageStatus(status, done)
      }
      await holdExpansion(tx, listId, messageId)
      await flagChunks(tx, messageId, at !== null)
      if (at === null) await wake(tx, 'chunks')
    }),
  )
}
