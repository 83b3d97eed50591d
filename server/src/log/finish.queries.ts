import type { Db } from '../db/db.ts'
import { ofRound } from './failures.sql.ts'

const isFinished = /* sql */ `
  m.status = 'sending' and m.expanded_at is not null
  and (select queued + submitting from message_totals where message_id = m.id) = 0`

/**
 * Reads up to `limit` messages in status `sending` with ids above `after`, and returns those whose audience is written and that
 * have no row queued or submitting: those whose finishing has not failed, or only this one. `last` is the last id that was read,
 * null if there are no more.
 */
export function listFinished(db: Db, after: number, limit: number, only: number | null) {
  return db.one<{ ids: number[]; last: number | null }>(
    'list_finished',
    /* sql */ `
    with page as materialized (
      select id from messages where status = 'sending' and id > $1 order by id limit $2::int
    )
    select array(select m.id from page join messages m on m.id = page.id
                  where ${isFinished} and ${ofRound('finish', 'm.id', 3)} order by m.id) as ids,
           (select case count(*) when $2 then max(id) end from page) as last`,
    [after, limit, only],
  )
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
