import { setTimeout as delay } from 'node:timers/promises'
import { retryLostRaces } from '../../db/retry.ts'
import { errors } from '../../errors.ts'
import { deleteExpansion, hasSubmittingTexts } from '../../log/cancel.queries.ts'
import type { Runtime } from '../../runtime.ts'
import { findStatus, markCancelled } from './stop.queries.ts'

type Rt = Pick<Runtime, 'db' | 'clock'>

/**
 * Cancels a message that is scheduled or being sent; throws for a draft or a sent message. Cancelling twice has no
 * further effect. Every mark checks whether the message is cancelled, so after the commit only texts marked before it
 * can still be sent, and `waitUntilIdle` waits for those. Queued rows become cancelled afterwards.
 */
export function cancelMessage(rt: Rt, listId: number, messageId: number): Promise<void> {
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      // locks the cursor before the message, in the order of an expansion; deletes again for a message that has just
      // started
      await deleteExpansion(tx, listId, messageId)
      if (await markCancelled(tx, listId, messageId, rt.clock.now())) {
        await deleteExpansion(tx, listId, messageId)
        return
      }
      const status = await findStatus(tx, listId, messageId)
      if (status === undefined) throw errors.messageNotFound()
      // a client repeats the request if it did not get the first response
      if (status !== 'cancelled') throw errors.wrongMessageStatus(status, 'cancelled')
    }),
  )
}

/**
 * Waits until no text of a cancelled or paused message is submitting: at most the response deadline or the rest of a
 * lease.
 */
export async function waitUntilIdle(rt: Rt, messageId: number): Promise<void> {
  while (await hasSubmittingTexts(rt.db, messageId)) await delay(20)
}
