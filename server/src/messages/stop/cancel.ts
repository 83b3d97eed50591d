import { setTimeout as delay } from 'node:timers/promises'
import { retryLostRaces } from '../../db/retry.ts'
import { errors } from '../../errors.ts'
import { deleteExpansion, isOnItsWay } from '../../log/cancel.queries.ts'
import type { Runtime } from '../../runtime.ts'
import { findStatus, markCancelled } from './stop.queries.ts'

type Rt = Pick<Runtime, 'db' | 'clock'>

/**
 * Cancels a message that is scheduled or being sent; cancelling twice has no further effect. Every mark checks whether
 * the message is cancelled, so after the commit only texts marked before can still be sent, and `waitUntilIdle` waits for
 * those. Queued rows become cancelled afterwards.
 */
export function cancelMessage(rt: Rt, listId: number, messageId: number): Promise<void> {
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      // the cursor before the message, as an expansion locks them; and once more for one that has just been started
      await deleteExpansion(tx, listId, messageId)
      if (await markCancelled(tx, listId, messageId, rt.clock.now())) {
        await deleteExpansion(tx, listId, messageId)
        return
      }
      const status = await findStatus(tx, listId, messageId)
      if (status === undefined) throw errors.messageNotFound()
      // a client that repeats the request did not get the first response
      if (status !== 'cancelled') throw errors.wrongMessageStatus(status, 'cancelled')
    }),
  )
}

/** Waits until no text of a cancelled or paused message is on its way: at most a response deadline or a lease. */
export async function waitUntilIdle(rt: Rt, messageId: number): Promise<void> {
  while (await isOnItsWay(rt.db, messageId)) await delay(20)
}
