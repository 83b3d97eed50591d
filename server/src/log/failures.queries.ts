import type { Db } from '../db/db.ts'

/** The kinds of work on messages that workers poll for. */
export const sweepNames = ['start', 'expand', 'cancel', 'reopen', 'suppress', 'finish', 'bill', 'close'] as const
export type SweepName = (typeof sweepNames)[number]

/** Pauses after the first, second, ... failure in succession, in seconds; the last one applies to all further failures. */
const pausesSeconds = [1, 5, 30, 120, 3_600]
/** Failures in succession after which work is set aside. */
export const failuresUntilSetAside = pausesSeconds.length
/** How long a retry may take before another worker repeats it. */
const retrySeconds = 300

export type Failure = { messageId: number; sweep: SweepName; attempts: number }
export type NewFailure = { messageId: number; sweep: SweepName; error: string }

/**
 * Counts a failure of work on a message and plans the next attempt; returns the number of failures in succession, or
 * undefined if the message no longer exists.
 */
export async function recordFailure(db: Db, failure: NewFailure, at: Date): Promise<number | undefined> {
  const row = await db.maybeOne<{ attempts: number }>(
    'record_message_failure',
    /* sql */ `
    insert into message_failures as f (message_id, sweep, attempts, error, first_failed_at, failed_at, retry_at)
    select id, $2::text, 1, $3::text, $4::timestamptz, $4::timestamptz, $4::timestamptz + make_interval(secs => ($5::int[])[1]) from messages where id = $1
        on conflict (message_id, sweep) do update
       set attempts = f.attempts + 1, error = excluded.error, failed_at = excluded.failed_at,
           retry_at = $4::timestamptz + make_interval(secs => ($5::int[])[least(f.attempts + 1, cardinality($5::int[]))]),
           set_aside_at = case when f.attempts + 1 >= cardinality($5::int[]) then coalesce(f.set_aside_at, $4::timestamptz) end
    returning attempts`,
    [failure.messageId, failure.sweep, failure.error, at, pausesSeconds],
  )
  return row?.attempts
}

/**
 * Returns up to 20 failures whose pause is over, the longest first. They are not returned again for five minutes, so that
 * one worker retries each.
 */
export function claimFailures(db: Db, now: Date) {
  return db.many<Failure>(
    'claim_message_failures',
    /* sql */ `
    with due as materialized (
      select message_id, sweep from message_failures where retry_at <= $1 order by retry_at limit 20
         for update skip locked
    )
    update message_failures f set retry_at = $1::timestamptz + make_interval(secs => $2)
      from due where f.message_id = due.message_id and f.sweep = due.sweep
    returning f.message_id as "messageId", f.sweep, f.attempts`,
    [now, retrySeconds],
  )
}

/** Deletes a failure, unless the work has failed again since it was claimed. */
export async function endFailure(db: Db, { messageId, sweep, attempts }: Failure) {
  await db.exec(
    'end_message_failure',
    /* sql */ `delete from message_failures where message_id = $1 and sweep = $2 and attempts = $3`,
    [messageId, sweep, attempts],
  )
}

/**
 * Makes the failed work on a message due immediately or, if it is null, all work that is set aside; returns the number of
 * failures.
 */
export function retryNow(db: Db, messageId: number | null, now: Date): Promise<number> {
  return db.exec(
    'retry_message_failures',
    /* sql */ `
    update message_failures set retry_at = $2
     where case when $1::bigint is null then set_aside_at is not null else message_id = $1 end`,
    [messageId, now],
  )
}

/** Work on a message that is set aside. */
export type SetAside = {
  messageId: number
  accountId: number
  listId: number | null
  sweep: SweepName
  attempts: number
  error: string
  since: Date
  setAsideAt: Date
  retryAt: Date
}

/** Returns the work that is set aside, the oldest first, at most 1,000. */
export function listSetAside(db: Db) {
  return db.many<SetAside>(
    'list_set_aside',
    /* sql */ `
    select f.message_id as "messageId", m.account_id as "accountId", m.list_id as "listId", f.sweep, f.attempts, f.error,
           f.first_failed_at as since, f.set_aside_at as "setAsideAt", f.retry_at as "retryAt"
      from message_failures f join messages m on m.id = f.message_id
     where f.set_aside_at is not null order by f.set_aside_at, f.message_id, f.sweep limit 1000`,
  )
}

/** Returns the numbers of messages whose work is set aside, by sweep. */
export function countSetAside(db: Db) {
  return db.many<{ sweep: SweepName; count: number }>(
    'count_set_aside',
    /* sql */ `
    select sweep, count(*) as count from message_failures where set_aside_at is not null group by sweep`,
  )
}
