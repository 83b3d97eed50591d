import { retryLostRaces } from '../../db/retry.ts'
import { wake } from '../../db/wake.ts'
import { errors } from '../../errors.ts'
import { lockExpansion, setChunksPaused } from '../../log/pause.queries.ts'
import type { Runtime } from '../../runtime.ts'
import { findStatus, markPaused } from './stop.queries.ts'

type Rt = Pick<Runtime, 'db' | 'clock'>

/**
 * Pauses a message that is being sent; throws for any other status. Pausing twice has no further effect. Its chunks are
 * flagged in the same transaction, and later chunks of its audience when they are written. Marks leave their rows
 * queued, so after the commit only texts marked before it can still be sent, and `waitUntilIdle` waits for those.
 */
export function pauseMessage(rt: Rt, listId: number, messageId: number): Promise<void> {
  return setPaused(rt, listId, messageId, rt.clock.now(), 'paused')
}

/**
 * Resumes a paused message: exactly the rows that are still queued are sent. Has no effect on a message that is not
 * paused.
 */
export function resumeMessage(rt: Rt, listId: number, messageId: number): Promise<void> {
  return setPaused(rt, listId, messageId, null, 'resumed')
}

function setPaused(rt: Rt, listId: number, messageId: number, at: Date | null, participle: string): Promise<void> {
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      // locks the cursor before the message, in the order of an expansion; locks again for a message that has just
      // started
      await lockExpansion(tx, listId, messageId)
      if (!(await markPaused(tx, listId, messageId, at))) {
        const status = await findStatus(tx, listId, messageId)
        if (status === undefined) throw errors.messageNotFound()
        throw errors.wrongMessageStatus(status, participle)
      }
      await lockExpansion(tx, listId, messageId)
      await setChunksPaused(tx, messageId, at !== null)
      if (at === null) await wake(tx, 'chunks')
    }),
  )
}
