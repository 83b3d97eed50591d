import { customFieldsJson } from '../custom-fields/custom-fields.sql.ts'
import type { ValueRules } from '../custom-fields/values.ts'
import type { Db } from '../db/db.ts'
import type { NumberedEvent, RecordedEvent } from './event-types.ts'

/** Makes the transaction the only sequencer until it ends; returns false if there is another one. */
export async function becomeSequencer(tx: Db): Promise<boolean> {
  const row = await tx.maybeOne(
    'become_sequencer',
    /* sql */ `select last_position from event_sequence for update skip locked`,
  )
  return row !== undefined
}

/** Removes up to `limit` visible events from the outbox and returns them in their order, with the accounts' time zones. */
export async function takeRecorded(tx: Db, limit: number): Promise<RecordedEvent[]> {
  return tx.many<RecordedEvent>(
    'take_recorded_events',
    /* sql */ `
    with taken as (
      delete from event_outbox where id = any(array(select id from event_outbox order by id limit $1))
      returning *
    )
    select t.id, t.account_id as "accountId", t.list_id as "listId", t.type, t.phone, t.occurred_at as "occurredAt",
           t.facts, a.time_zone as "timeZone"
      from taken t join accounts a on a.id = t.account_id
     order by t.id`,
    [limit],
  )
}

/** Returns the custom fields of these lists. */
export async function findFieldsOfLists(tx: Db, listIds: number[]): Promise<Map<number, ValueRules[]>> {
  const rows = await tx.many<{ listId: number; fields: ValueRules[] }>(
    'find_fields_of_lists',
    /* sql */ `select l.id as "listId", ${customFieldsJson('l.id')} as fields from unnest($1::bigint[]) as l(id)`,
    [listIds],
  )
  return new Map(rows.map(({ listId, fields }) => [listId, fields]))
}

/** Takes the next `count` positions and returns the first one; the transaction must be the sequencer. */
export async function takePositions(tx: Db, count: number): Promise<number> {
  const { last } = await tx.one<{ last: number }>(
    'take_positions',
    /* sql */ `update event_sequence set last_position = last_position + $1 returning last_position as last`,
    [count],
  )
  return last - count + 1
}

/** Inserts numbered events into the feed. */
export function insertEvents(tx: Db, events: NumberedEvent[]) {
  return tx.exec(
    'insert_events',
    /* sql */ `
    insert into events (position, account_id, list_id, type, phone, occurred_at, payload)
    select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::timestamptz[], $7::json[])`,
    [
      events.map(({ position }) => position),
      events.map(({ accountId }) => accountId),
      events.map(({ listId }) => listId),
      events.map(({ type }) => type),
      events.map(({ phone }) => phone),
      events.map(({ occurredAt }) => occurredAt),
      events.map(({ payload }) => payload),
    ],
  )
}

export type FeedQuery = { accountId: number; after: number; types: string[] | null; limit: number }

/** Returns the account's events after a position, in the order of their positions. */
export function listEvents(db: Db, { accountId, after, types, limit }: FeedQuery) {
  return db.many<{ position: number; payload: string }>(
    'list_events',
    /* sql */ `
    select position, payload::text as payload from events
     where account_id = $1 and position > $2 and ($3::text[] is null or type = any($3))
     order by position limit $4`,
    [accountId, after, types, limit],
  )
}

/** The positions of the feed: the last one that was assigned, and the one before the oldest event that is kept. */
export function findFeedBounds(db: Db) {
  return db.one<{ last: number; first: number | null }>(
    'find_feed_bounds',
    /* sql */ `
    select (select last_position from event_sequence) as last, (select min(position) from events) as first`,
  )
}
