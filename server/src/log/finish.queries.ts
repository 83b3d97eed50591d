import type { Db } from '../db/db.ts'

/**
 * Marks as sent every message whose audience is written and has nobody queued or submitting any more. One that is paused
 * has somebody, or else there was nothing to pause. When it was sent stays so, though some of it is sent once more later.
 */
export async function finishMessages(db: Db, at: Date): Promise<number> {
  return db.exec(
    'finish_messages',
    /* sql */ `
    update messages m
       set status = 'sent', sent_at = coalesce(m.sent_at, $1), paused_at = null
     where m.status = 'sending' and m.expanded_at is not null
       and (select queued + submitting from message_totals where message_id = m.id) = 0`,
    [at],
  )
}
