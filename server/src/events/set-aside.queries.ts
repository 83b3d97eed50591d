import type { Db } from '../db/db.ts'
import { sql } from '../db/sql.ts'
import type { EventType } from './event-types.ts'

/** The columns of the outbox, which `events_set_aside` has, too. */
const columns = /* sql */ `
  id, account_id, list_id, type, phone, occurred_at, callback_url, time_zone, facts`

/**
 * Moves an event from the outbox to those that are set aside, with the kind of its error. It is retried after an hour, and after twice as long
 * each time, up to a day. Returns how often it was set aside, or undefined if it was not in the outbox.
 */
export async function setEventAside(db: Db, id: number, error: string, now: Date): Promise<number | undefined> {
  const moved = await db.maybeOne<{ failures: number }>(
    'set_event_aside',
    /* sql */ `
    with taken as (delete from event_outbox where id = $1 returning *)
    insert into events_set_aside (${columns}, failures, error, set_aside_at, retry_at)
    select ${columns}, least(failures + 1, 9999), $2, $3,
           $3::timestamptz + least(interval '1 hour' * 2 ^ least(failures, 5), interval '1 day')
      from taken
    returning failures`,
    [id, error, now],
  )
  return moved?.failures
}

/** The events to return: one, or those that are due or were set aside at a time or before. */
export type Returned = { id: number } | { dueAt: Date } | { setAsideBy: Date }

/** Moves up to `limit` events that are set aside back to the outbox, oldest first, and returns how many. */
export function returnEvents(db: Db, given: Returned, limit: number): Promise<number> {
  const { id, dueAt, setAsideBy }: { id?: number; dueAt?: Date; setAsideBy?: Date } = given
  return db.exec(
    'return_events_set_aside',
    /* sql */ `
    with taken as (
      delete from events_set_aside
       where id = any(array(select id from events_set_aside
                             where ($2::bigint is null or id = $2) and ($3::timestamptz is null or retry_at <= $3)
                               and ($4::timestamptz is null or set_aside_at <= $4)
                             order by id limit $1 for update skip locked))
      returning *
    )
    insert into event_outbox (${columns}, failures) overriding system value select ${columns}, failures from taken`,
    [limit, id ?? null, dueAt ?? null, setAsideBy ?? null],
  )
}

/** Deletes an event that is set aside; returns whether it was there. */
export async function deleteEventSetAside(db: Db, id: number): Promise<boolean> {
  const deleted = await db.exec('delete_event_set_aside', /* sql */ `delete from events_set_aside where id = $1`, [id])
  return deleted > 0
}

/** An event that is set aside, without its content. */
export type EventSetAside = {
  id: number
  accountId: number
  listId: number | null
  type: EventType
  occurredAt: Date
  failures: number
  error: string
  retryAt: Date
}

/** Returns the events that are set aside, the oldest first, at most 1,000. */
export function listEventsSetAside(db: Db) {
  return db.many<EventSetAside>(
    'list_events_set_aside',
    /* sql */ `
    select id, account_id as "accountId", list_id as "listId", type, occurred_at as "occurredAt", failures, error,
           retry_at as "retryAt"
      from events_set_aside order by id limit 1000`,
  )
}

/** A defect of one release may set aside any number of events, of which no more are counted. */
export const maxCountedAside = 10_000

/** Returns the numbers of events that are set aside, by type; counts at most `maxCountedAside`. */
export function countEventsSetAside(db: Db) {
  return db.many<{ type: EventType; count: number }>(
    'count_events_set_aside',
    sql`
    select type, count(*) as count from (select type from events_set_aside limit ${maxCountedAside}) counted
     group by type order by type`,
  )
}
