import { retryLostRaces } from '../../db/retry.ts'
import { wake } from '../../db/wake.ts'
import { errors } from '../../errors.ts'
import { flagChunks, holdExpansion } from '../../log/pause.queries.ts'
import type { Runtime } from '../../runtime.ts'
import { findStatus } from './cancel.queries.ts'
import { markPaused } from './pause.queries.ts'

type Rt = Pick<Runtime, 'db' | 'clock'>

/**
 * Pauses a message that is being sent; harmlessly twice. Its chunks are flagged in the same transaction, and those of an
 * audience that is still being written are flagged as they are written: no mark lets their texts out, so once this has
 * committed only texts marked before are left, for which `untilNothingMoves` waits. Who is queued stays queued.
 */
export function pauseMessage(rt: Rt, listId: number, messageId: number): Promise<void> {
  return flip(rt, listId, messageId, rt.clock.now(), 'paused')
}

/** Lets a paused message go on with exactly those who are still queued; harmlessly, where it is not paused. */
export function resumeMessage(rt: Rt, listId: number, messageId: number): Promise<void> {
  return flip(rt, listId, messageId, null, 'resumed')
}

function flip(rt: Rt, listId: number, messageId: number, at: Date | null, done: string): Promise<void> {
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
