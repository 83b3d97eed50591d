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

/**
 * Cancels the messages of a deleted list that are scheduled or being sent, and returns their ids. Waits for a message
 * that is being started or cancelled.
 */
export async function markListCancelled(tx: Db, listId: number, at: Date): Promise<number[]> {
  const rows = await tx.many<{ id: number }>(
    'mark_list_cancelled',
    /* sql */ `
    -- two branches, one per partial index: a list may have many messages
    with waiting as materialized (
      select id from messages where status = 'sending' and list_id = $1 and kind in ('broadcast', 'transactional')
      union
      select id from messages where status = 'scheduled' and list_id = $1
    ), locked as materialized (
      select m.id from messages m where m.id in (select id from waiting) order by m.id for no key update
    )
    update messages m
       set status = 'cancelled', cancel_reason = 'list_deleted', paused_at = null, cancelled_at = $2,
           closed_at = case when accepted_at is null then $2::timestamptz end
      from locked
     where m.id = locked.id and m.status in ('scheduled', 'sending')
    returning m.id`,
    [listId, at],
  )
  return rows.map((row) => row.id)
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
