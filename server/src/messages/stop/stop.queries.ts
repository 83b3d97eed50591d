import type { Db } from '../../db/db.ts'
import type { MessageStatus } from '../accept.queries.ts'

/** Cancels a message that is scheduled or being sent; returns false for any other status. */
export async function markCancelled(tx: Db, listId: number, messageId: number, at: Date): Promise<boolean> {
  const rows = await tx.exec(
    'mark_cancelled',
    /* sql */ `
    update messages
       -- a message that was never started has no receipts to wait for
       set status = 'cancelled', paused_at = null, cancelled_at = $3, closed_at = case when accepted_at is null then $3::timestamptz end
     where id = $1 and list_id = $2 and kind in ('broadcast', 'transactional') and status in ('scheduled', 'sending')`,
    [messageId, listId, at],
  )
  return rows === 1
}

/** Returns the status of the list's message, or undefined if it does not exist. */
export async function findStatus(tx: Db, listId: number, messageId: number): Promise<MessageStatus | undefined> {
  const row = await tx.maybeOne<{ status: MessageStatus }>(
    'find_message_status',
    /* sql */ `
    select status from messages where id = $1 and list_id = $2 and kind in ('broadcast', 'transactional')`,
    [messageId, listId],
  )
  return row?.status
}

/**
 * Sets or, with null, clears the time since when a message is paused; an earlier time remains. Returns false if the
 * message is not being sent.
 */
export async function markPaused(tx: Db, listId: number, messageId: number, at: Date | null): Promise<boolean> {
  const rows = await tx.exec(
    'mark_paused',
    /* sql */ `
    update messages
       set paused_at = case when $3::timestamptz is not null then coalesce(paused_at, $3) end
     where id = $1 and list_id = $2 and kind in ('broadcast', 'transactional') and status = 'sending'`,
    [messageId, listId, at],
  )
  return rows === 1
}
