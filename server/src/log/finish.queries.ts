import type { Db } from '../db/db.ts'
import { ofRound } from './failures.sql.ts'

const isFinished = /* sql */ `
  m.status = 'sending' and m.expanded_at is not null
  and (select queued + submitting from message_totals where message_id = m.id) = 0`

/**
 * Returns up to 1,000 messages in status `sending` whose audience is written and that have no row queued or submitting:
 * those whose finishing has not failed, or only this one.
 */
export async function listFinished(db: Db, only: number | null): Promise<number[]> {
  const rows = await db.many<{ id: number }>(
    'list_finished',
    /* sql */ `
    select m.id from messages m
     where ${isFinished} and ${ofRound('finish', 'm.id', 1)}
     order by m.id limit 1000`,
    [only],
  )
  return rows.map(({ id }) => id)
}

/**
 * Marks the finished ones of these messages (null: of all) as sent, and returns their number. A paused message can be
 * finished only if no row of it is queued, so its pause has no effect any more. `sent_at` keeps its first value when
 * rows are requeued later.
 */
export function finishMessages(db: Db, at: Date, ids: number[] | null = null): Promise<number> {
  return db.exec(
    'finish_messages',
    /* sql */ `
    update messages m
       set status = 'sent', sent_at = coalesce(m.sent_at, $1), paused_at = null
     where ${isFinished} and ($2::bigint[] is null or m.id = any($2))`,
    [at, ids],
  )
}
