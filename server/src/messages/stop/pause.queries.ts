import type { Db } from '../../db/db.ts'

/** Marks a message that is being sent as paused, since `at` where it was not before, or with null as not paused. */
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
