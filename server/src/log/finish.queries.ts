import type { Choice } from '../db/all-or-each.ts'
import type { Db } from '../db/db.ts'

const isFinished = /* sql */ `
  m.status = 'sending' and m.expanded_at is not null
  and (select queued + submitting from message_totals where message_id = m.id) = 0`

/** Messages that are being sent, whose audience is written, and of which no row is queued or submitting any more. */
export async function listFinished(db: Db, { except, only }: Choice): Promise<number[]> {
  const rows = await db.many<{ id: number }>(
    'list_finished',
    /* sql */ `
    select m.id from messages m
     where ${isFinished} and m.id <> all($1::bigint[]) and ($2::bigint is null or m.id = $2)
     order by m.id limit 1000`,
    [except, only],
  )
  return rows.map(({ id }) => id)
}

/**
 * Marks these messages as sent, or all, where they are finished, and returns how many were. A paused message has queued
 * rows, or else there was nothing to pause. sent_at stays as it is when some rows are sent again later.
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
