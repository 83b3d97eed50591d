import { retryLostRaces } from '../../db/retry.ts'
import { releaseKeywords } from '../../keywords/keywords.queries.ts'
import { markListDeleted } from '../../lists/lists.queries.ts'
import { lockList } from '../../lists/lists.ts'
import { deleteExpansionsOfList } from '../../log/cancel.queries.ts'
import type { Runtime } from '../../runtime.ts'
import { waitUntilIdle } from './cancel.ts'
import { markListCancelled } from './stop.queries.ts'

type Rt = Pick<Runtime, 'db' | 'clock'>

/**
 * Marks the list as deleted, so that no request finds it any more, and cancels its messages that are scheduled or being
 * sent; throws if there is no such list. Its rows remain as a record of consent and texts. Returns when no text of these
 * messages is sent any more: as with a cancel, only texts marked before the commit still are.
 */
export async function deleteList(rt: Rt, accountId: number, listId: number): Promise<void> {
  const cancelled = await retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      // the lock of the list waits for the requests that start a message of it (`holdListOpen`)
      await lockList(tx, accountId, listId)
      const now = rt.clock.now()
      await releaseKeywords(tx, listId, now)
      await markListDeleted(tx, listId, now)
      // cursors before messages, in the order of an expansion; again for a message that has just fallen due
      await deleteExpansionsOfList(tx, listId)
      const ids = await markListCancelled(tx, listId, now)
      await deleteExpansionsOfList(tx, listId)
      return ids
    }),
  )
  for (const messageId of cancelled) await waitUntilIdle(rt, messageId)
}
