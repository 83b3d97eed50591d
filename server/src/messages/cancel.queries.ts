import type { Db } from '../db/db.ts'
import type { MessageStatus } from './accept.queries.ts'

/** Ends the writing of a message's audience; waits for a slice under way. */
export async function deleteExpansion(tx: Db, listId: number, messageId: number) {
  await tx.exec(
    'delete_expansion',
    /* sql */ `
    delete from expansions e using messages m where e.message_id = $1 and m.id = $1 and m.list_id = $2`,
    [messageId, listId],
  )
}

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

/** Whether a gateway may be writing texts of this message right now, or waits for the answer to them. */
export async function isOnItsWay(db: Db, messageId: number): Promise<boolean> {
  const { moving } = await db.one<{ moving: boolean }>(
    'is_on_its_way',
    /* sql */ `
    select c.submitting > 0
           -- past its lease nobody writes it any more, even if nobody has come yet to call it unknown
           and exists (select from send_chunks k
                        where k.message_id = $1 and k.done_at is null and k.lease_until > clock_timestamp()) as moving
      from message_counters c where c.message_id = $1`,
    [messageId],
  )
  return moving
}
