import type { Db } from '../../db/db.ts'
import type { MessageStatus } from '../accept.queries.ts'

/** Cancels a message that is scheduled or being sent; false when it is neither. */
export async function markCancelled(tx: Db, listId: number, messageId: number, at: Date): Promise<boolean> {
  const rows = await tx.exec(
    'mark_cancelled',
    /* sql */ `
    update messages
       -- where nothing went out, there is nothing to wait for
       set status = 'cancelled', paused_at = null, cancelled_at = $3, closed_at = case when accepted_at is null then $3::timestamptz end
     where id = $1 and list_id = $2 and kind in ('broadcast', 'transactional') and status in ('scheduled', 'sending')`,
    [messageId, listId, at],
  )
  return rows === 1
}

export async function findStatus(tx: Db, listId: number, messageId: number): Promise<MessageStatus | undefined> {
  const row = await tx.maybeOne<{ status: MessageStatus }>(
    'find_message_status',
    /* sql */ `
    select status from messages where id = $1 and list_id = $2 and kind in ('broadcast', 'transactional')`,
    [messageId, listId],
  )
  return row?.status
}
