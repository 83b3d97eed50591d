import { customFieldsJson } from '../custom-fields/custom-fields.sql.ts'
import type { ValueRules } from '../custom-fields/values.ts'
import type { Db } from '../db/db.ts'
import type { NumberedEvent, RecordedEvent } from './event-types.ts'
import type { PositionRange } from './positions.ts'
import { maxPageBytes, mostCharacters } from './stored-size.sql.ts'

/** Returns whether the outbox has visible events. Unlike `becomeSequencer` it locks no row, so it writes no WAL. */
export async function hasRecorded(db: Db): Promise<boolean> {
  const row = await db.maybeOne(
    'find_recorded_event',
    // by the index: the table is often empty, and its pages may be full of rows that were taken
    /* sql */ `select id from event_outbox order by id limit 1`,
  )
  return row !== undefined
}

/** Makes the transaction the only sequencer until it ends; returns false if there is another one. */
export async function becomeSequencer(tx: Db): Promise<boolean> {
  const row = await tx.maybeOne(
    'become_sequencer',
    /* sql */ `select last_position from event_sequence for update skip locked`,
  )
  return row !== undefined
}

/** Maximum size of the facts of the events that are taken at a time, unless it is one event: those of a subscriber may have 2 MB. */
const maxTakenBytes = '16777216'

/** Events of the outbox in their order, and whether there may be more. */
export type TakenEvents = { events: RecordedEvent[]; isFull: boolean }

/** Removes up to `limit` visible events from the outbox, fewer if they are large, and returns them. */
export async function takeRecorded(tx: Db, limit: number): Promise<TakenEvents> {
  const events = await tx.many<RecordedEvent & { found: number }>(
    'take_recorded_events',
    /* sql */ `
    with found as materialized (
      select id, ${mostCharacters('facts')} as bytes from event_outbox order by id limit $1
    ), first as (
      select id from (select id, sum(bytes) over (order by id) as bytes, row_number() over (order by id) as n from found) f
       where bytes <= ${maxTakenBytes} or n = 1
    ), taken as (
      delete from event_outbox where id = any(array(select id from first)) returning *
    )
    select id, account_id as "accountId", list_id as "listId", type, phone, occurred_at as "occurredAt",
           callback_url as "callbackUrl", time_zone as "timeZone", facts, (select count(*) from found) as found
      from taken order by id`,
    [limit],
  )
  const found = events[0]?.found ?? 0
  return { events, isFull: found === limit || events.length < found }
}

/** Returns the present custom fields of a list. */
export async function findFieldsOfList(db: Db, listId: number): Promise<ValueRules[]> {
  const { fields } = await db.one<{ fields: ValueRules[] }>(
    'find_fields_of_list',
    /* sql */ `select ${customFieldsJson('l.id')} as fields from lists l where l.id = $1`,
    [listId],
  )
  return fields
}

/** The custom fields of a list that several events have; null if they are read later. */
export type FieldsOfEvents = { ids: number[]; fields: ValueRules[] | null }

/** Number of lists, or versions of a list, whose fields are read at a time: they may have 2 MB of each. */
const maxFieldsRead = '20'

/**
 * Returns the custom fields that the lists of these events had when the events were inserted, in the order of the ids: the first ones with the
 * fields. The events must have been taken by an earlier statement, so that this one sees the fields of a change after them.
 */
export function findFieldsOfEvents(tx: Db, events: { id: number; listId: number }[]) {
  return tx.many<FieldsOfEvents>(
    'find_fields_of_events',
    /* sql */ `
    select v.ids,
           case when v.n > ${maxFieldsRead} then null
                when v.through_id is null then ${customFieldsJson('v.list_id')}
                else (select f.definitions from event_fields f where f.list_id = v.list_id and f.through_id = v.through_id)
                end as fields
      from (select e.list_id, e.through_id, array_agg(e.id) as ids, row_number() over (order by min(e.id)) as n
              from (select id, list_id,
                           (select f.through_id from event_fields f where f.list_id = u.list_id and f.through_id >= u.id
                             order by f.through_id limit 1) as through_id
                      from unnest($1::bigint[], $2::bigint[]) as u(id, list_id)) e
             group by e.list_id, e.through_id) v
     order by v.n`,
    [events.map(({ id }) => id), events.map(({ listId }) => listId)],
  )
}

/** Deletes up to `limit` stored definitions of fields that no event without a payload has, and returns how many. */
export function deleteFieldsOfEvents(db: Db, limit: number): Promise<number> {
  return db.exec(
    'delete_fields_of_events',
    /* sql */ `
    delete from event_fields
     where (list_id, through_id) in (
       select list_id, through_id from event_fields where through_id < first_event_without_payload(list_id) limit $1)`,
    [limit],
  )
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

/**
 * Leaves out the positions that the original of a restored database, or another copy, may have used, also those of test events. Microseconds
 * since 1970 are more than all positions used before: no installation has a million events per second. If the clock is behind, 10^9
 * positions are left out.
 */
export async function leaveOutPositions(db: Db): Promise<void> {
  await db.exec(
    'leave_out_test_positions',
    /* sql */ `
    select setval('test_positions', case when b.now > b.last_value then b.now else b.last_value + 1000000000 end)
      from (select last_value, 4503599627370496 + (extract(epoch from clock_timestamp()) * 1000000)::bigint as now
              from test_positions) b`,
  )
  await db.exec(
    'leave_out_positions',
    /* sql */ `
    with raised as (
      update event_sequence s
         set last_position = case when b.now > b.last_position then b.now else b.last_position + 1000000000 end
        from (select last_position, (extract(epoch from clock_timestamp()) * 1000000)::bigint as now from event_sequence) b
      returning b.last_position as last_before, s.last_position + 1 as first_after
    )
    insert into event_gaps (last_before, first_after) select last_before, first_after from raised`,
  )
}

/** Inserts numbered events into the feed. */
export function insertEvents(tx: Db, events: NumberedEvent[]) {
  return tx.exec(
    'insert_events',
    /* sql */ `
    insert into events (position, account_id, list_id, type, phone, occurred_at, payload, callback_url)
    select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::timestamptz[], $7::json[],
                         $8::text[])`,
    [
      events.map(({ position }) => position),
      events.map(({ accountId }) => accountId),
      events.map(({ listId }) => listId),
      events.map(({ type }) => type),
      events.map(({ phone }) => phone),
      events.map(({ occurredAt }) => occurredAt),
      events.map(({ payload }) => payload),
      events.map(({ callbackUrl }) => callbackUrl),
    ],
  )
}

export type TestEvent = Pick<NumberedEvent, 'accountId' | 'listId' | 'type' | 'occurredAt' | 'payload' | 'callbackUrl'>

/** Inserts a test event and returns its position, for which no other transaction waits. */
export async function insertTestEvent(tx: Db, event: TestEvent): Promise<number> {
  const { accountId, listId, type, occurredAt, payload, callbackUrl } = event
  const { position } = await tx.one<{ position: number }>(
    'insert_test_event',
    /* sql */ `
    insert into events (position, account_id, list_id, type, occurred_at, payload, callback_url, is_test)
    values (nextval('test_positions'), $1, $2, $3, $4, $5, $6, true)
    returning position`,
    [accountId, listId, type, occurredAt, payload, callbackUrl],
  )
  return position
}

export type FeedQuery = { accountId: number; after: number; types: string[] | null; limit: number }

/** Number of events that a read compares with its types: some 20 ms. */
const maxCompared = '10000'

export type FeedRead = {
  enabled: boolean
  /** The last position of all accounts. */
  last: number
  /** The last position whose event is deleted; 0 if no event is. */
  deleted: number
  /** The last position before the gap that `after` is in; null if it is in none. */
  lastBeforeGap: number | null
  /** The position through which events were compared, if there may be further ones. */
  through: number | null
  /** Whether the page has fewer events than there are because of their size. */
  isCut: boolean
  positions: number[]
  /** JSON text, because their keys have an order. */
  payloads: string[]
}

/** Returns the account's events after a position, in the order of their positions, and the state of the feed in the same snapshot. */
export function readFeed(db: Db, { accountId, after, types, limit }: FeedQuery) {
  return db.one<FeedRead>(
    'read_feed',
    /* sql */ `
    with compared as (
      select position, type, payload from events_after($1, $2, ${maxCompared})
    ), found as (
      select position, payload, ${mostCharacters('payload')} as bytes from compared
       where $3::text[] is null or type = any($3)
       order by position limit $4
    ), page as (
      select position, payload
        from (select position, payload, sum(bytes) over (order by position) as bytes, row_number() over (order by position) as n
                from found) f
       where bytes <= ${maxPageBytes} or n = 1
    )
    select a.event_feed as enabled, s.last_position as last, s.deleted_position as deleted,
           (select g.last_before from event_gaps g where $2 > g.last_before and $2 < g.first_after - 1) as "lastBeforeGap",
           (select case when count(*) = ${maxCompared} then max(position) end from compared) as through,
           (select count(*) from page) < (select count(*) from found) as "isCut",
           array(select position from page order by position) as positions,
           array(select payload::text from page order by position) as payloads
      from event_sequence s, accounts a where a.id = $1`,
    [accountId, after, types, limit],
  )
}

/** Returns the last position of the feed. */
export async function findLastPosition(db: Db): Promise<number> {
  const { last } = await db.one<{ last: number }>(
    'find_last_position',
    /* sql */ `select last_position as last from event_sequence`,
  )
  return last
}

/** The types of an account's events after a position, of the first `compared` ones. */
export type NewEvents = { accountId: number; compared: number; types: string[] }

/** Number of new events of an account that are compared for the requests that wait. */
export const maxNewCompared = 1_000

/** Returns what is new in these accounts after these positions; accounts without events are not in the result. */
export function findNewEvents(db: Db, afters: Map<number, number>): Promise<NewEvents[]> {
  return db.many<NewEvents>(
    'find_new_events',
    /* sql */ `
    select w.account_id as "accountId", count(*) as compared,
           array_agg(distinct e.type) as types
      from unnest($1::bigint[], $2::bigint[]) as w(account_id, after)
     cross join lateral events_after(w.account_id, w.after, $3) e
     group by w.account_id`,
    [[...afters.keys()], [...afters.values()], maxNewCompared],
  )
}

/**
 * Deletes up to `limit` events of a range that occurred before a time, oldest positions first, and returns how many. Events that wait to
 * be delivered stay.
 */
export function deleteEvents(tx: Db, { first, last }: PositionRange, before: Date, limit: number): Promise<number> {
  return tx.exec(
    'delete_events',
    /* sql */ `
    with old as (
      select position
        from (select position, occurred_at from events where position between $3 and $4 order by position limit $2) first
       where occurred_at < $1 and not exists (select from deliveries d where d.position = first.position)
    ), deleted as (
      delete from events where position = any(array(select position from old)) returning position, is_test
    ), bound as (
      update event_sequence
         set deleted_position = greatest(deleted_position, (select max(position) from deleted where not is_test))
       where exists (select from deleted where not is_test)
    )
    select from deleted`,
    [before, limit, first, last],
  )
}

/** Switches the feed of an account on or off. */
export function updateFeed(db: Db, accountId: number, enabled: boolean) {
  return db.exec('update_feed', /* sql */ `update accounts set event_feed = $2 where id = $1`, [accountId, enabled])
}

/** Returns whether the feed of an account is on, and its bounds. */
export function findFeed(db: Db, accountId: number) {
  return db.one<{ enabled: boolean; last: number; deleted: number }>(
    'find_feed',
    /* sql */ `
    select a.event_feed as enabled, s.last_position as last, s.deleted_position as deleted
      from accounts a, event_sequence s where a.id = $1`,
    [accountId],
  )
}
