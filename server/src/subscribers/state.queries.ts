import type { Db } from '../db/db.ts'

export type SubscriberState = 'pending' | 'subscribed' | 'unsubscribed' | 'cleaned'

/** How a number stands with a list; undefined when it never was on it. */
export async function findSubscriberState(db: Db, listId: number, phone: number): Promise<SubscriberState | undefined> {
  const row = await db.maybeOne<{ state: SubscriberState }>(
    'find_subscriber_state',
    /* sql */ `select state from subscribers where list_id = $1 and phone = $2`,
    [listId, phone],
  )
  return row?.state
}
