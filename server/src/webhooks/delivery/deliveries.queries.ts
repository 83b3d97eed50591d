import type { Db } from '../../db/db.ts'
import { param, raw, type Sql, sql } from '../../db/sql.ts'
import { listEvents, listEventTypes, type NumberedEvent } from '../../events/event-types.ts'
import { maxPageBytes, mostCharacters } from '../../events/stored-size.sql.ts'
import { findCallbackEndpoints } from './callback-endpoints.queries.ts'

/** The condition that the webhook `w` receives the type of the event `v`. */
export const receivesType = listEventTypes
  .map((type) => `(v.type = '${type}' and w.${listEvents[type].flag})`)
  .join(' or ')

/**
 * Inserts a delivery of each event for each webhook that receives it, and for its callback URL. A delivery of a phone with
 * an earlier one is behind that one. The endpoints are locked before, as `releaseEndpoint` requires.
 */
export async function insertDeliveries(tx: Db, events: NumberedEvent[], now: Date): Promise<void> {
  const listIds = [...new Set(events.flatMap(({ listId }) => listId ?? []))]
  const callbackEndpoints = await findEndpointsOfUrls(tx, events)
  const locked = await tx.many<{ id: number }>(
    'lock_listening_endpoints',
    /* sql */ `
    select p.id from endpoints p
     where p.id = any(array(
       select e.id from webhooks w join endpoints e on e.webhook_id = w.id where w.list_id = any($1::bigint[]) and w.deleted_at is null
        union all
       select unnest($2::bigint[])))
     order by p.id for update of p`,
    [listIds, callbackEndpoints.filter((id) => id !== null)],
  )
  if (locked.length === 0) return
  const event = sql`
        unnest(${events.map(({ position }) => position)}::bigint[], ${events.map(({ accountId }) => accountId)}::bigint[],
               ${events.map(({ listId }) => listId)}::bigint[], ${events.map(({ type }) => type)}::text[],
               ${events.map(({ phone }) => phone)}::bigint[], ${callbackEndpoints}::bigint[])
          as v(position, account_id, list_id, type, phone, callback_endpoint)`
  const ids = param(locked.map(({ id }) => id))
  const target = sql`
      select v.position, v.phone, p.id as endpoint_id
        from ${event}
        join webhooks w on w.list_id = v.list_id and w.deleted_at is null and (${raw(receivesType)})
        join endpoints p on p.webhook_id = w.id and p.id = any(${ids}::bigint[])
       union all
      select v.position, v.phone, v.callback_endpoint
        from ${event}
       where v.callback_endpoint is not null`
  await lockPhones('lock_phones_of_events', tx, target)
  await tx.exec(
    'insert_deliveries',
    sql`
    with target as (${target}
    ), added as (
      insert into deliveries (endpoint_id, position, phone, due_at, is_behind, is_replay) ${newRows(now, sql`false`)}
      returning endpoint_id, due_at, is_behind
    ), preferred as (
      -- live ones wait for them
      update deliveries set is_replay = false
       where id = any(array(select r.id from target t, lateral (
                              select id from deliveries where endpoint_id = t.endpoint_id and phone = t.phone and is_replay offset 0) r))
    )
    update endpoints p set next_due_at = least(p.next_due_at, a.due_at)
      from (select endpoint_id, min(due_at) as due_at from added where not is_behind group by endpoint_id) a
     where p.id = a.endpoint_id and (p.next_due_at is null or p.next_due_at > a.due_at)`,
  )
}

/** Returns the endpoint of each event's callback URL; null for an event without one. */
async function findEndpointsOfUrls(tx: Db, events: NumberedEvent[]): Promise<(number | null)[]> {
  const origins = events.map(({ callbackUrl }) => URL.parse(callbackUrl ?? '')?.origin)
  const callbacks = events.flatMap(({ accountId }, n) => (origins[n] ? [{ accountId, origin: origins[n] }] : []))
  const ids = await findCallbackEndpoints(tx, callbacks)
  let next = 0
  return origins.map((origin) => (origin ? (ids[next++] ?? null) : null))
}

/** The rows of new deliveries of the relation `target`: of each phone, all but the first one are behind another one. */
export const newRows = (now: Date, isReplay: Sql) => sql`
      select t.endpoint_id, t.position, t.phone, ${now}::timestamptz,
             t.phone is not null
             and (row_number() over (partition by t.endpoint_id, t.phone order by t.position) > 1
                  -- not "exists", for which the whole queue could be hashed
                  or (select d.id from deliveries d where d.endpoint_id = t.endpoint_id and d.phone = t.phone
                       order by d.id limit 1) is not null),
             ${isReplay}
        from target t
       order by t.position`

/**
 * Locks the last delivery of each phone and endpoint of `target`, so that it does not end before new ones behind it are committed. The
 * endpoints must be locked, so that nobody else inserts deliveries. The first ones and replayed ones are locked, too, in the
 * order of all ids: who makes the next one of a phone the first one has the lock of the one before.
 */
export async function lockPhones(name: string, tx: Db, target: Sql): Promise<void> {
  for (;;) {
    const { found, locked } = await tx.one<{ found: number; locked: number }>(
      name,
      sql`
      with named as (
        select distinct endpoint_id, phone from (${target}) t where phone is not null
      ), wanted as (
        select (select d.id from deliveries d where d.endpoint_id = n.endpoint_id and d.phone = n.phone order by d.id limit 1) as id
          from named n
         union
        select (select d.id from deliveries d where d.endpoint_id = n.endpoint_id and d.phone = n.phone order by d.id desc limit 1)
          from named n
         union
        select r.id from named n, lateral (
          select id from deliveries where endpoint_id = n.endpoint_id and phone = n.phone and is_replay offset 0) r
      ), held as (
        select id from deliveries where id = any(array(select id from wanted)) order by id for no key update
      )
      select (select count(id) from wanted) as found, (select count(*) from held) as locked`,
    )
    // if one has ended meanwhile, another one may be the last one
    if (locked === found) return
  }
}

export type DueDelivery = {
  id: number
  position: number
  type: string
  phone: number | null
  attempts: number
  /** The number of replays that were requested while the delivery waited. */
  round: number
  payload: string
  isTest: boolean
  /** Whether an earlier event of the phone was given up, and the endpoint has received none of the phone since. */
  isAfterDeadLetter: boolean
  /** The URL of a callback; null means the one of the endpoint's webhook. */
  callbackUrl: string | null
}

/**
 * Returns the endpoint's next due deliveries except these, of each phone only the first one: live ones in the order in which they
 * became due, and then up to `maxReplays` replayed ones; fewer if their payloads are large. A replayed one that a live one of its phone waits for is a live one.
 */
export function listDueDeliveries(
  db: Db,
  endpointId: number,
  now: Date,
  except: number[],
  { limit, maxReplays }: { limit: number; maxReplays: number },
) {
  return db.many<DueDelivery>(
    'list_due_deliveries',
    /* sql */ `
    select id, position, type, phone, attempts, round, payload::text, callback_url as "callbackUrl", is_test as "isTest",
           exists (select from dead_letters l where l.endpoint_id = $1 and l.phone = p.phone) as "isAfterDeadLetter"
      from (
        select f.*, sum(bytes) over place as bytes_through, row_number() over place as n
          from (
            select d.*, v.type, v.payload, v.callback_url, v.is_test, ${mostCharacters('v.payload')} as bytes
              from (
                (select * from deliveries
                  where endpoint_id = $1 and not is_behind and not is_replay and due_at <= $2 and id <> all($3::bigint[])
                  order by due_at, id limit $4)
                 union all
                (select * from deliveries
                  where endpoint_id = $1 and not is_behind and is_replay and due_at <= $2 and id <> all($3::bigint[])
                  order by due_at, id limit $5)
              ) d join events v on v.position = d.position
             where (select e.disabled_at is null from endpoints e where e.id = $1)
             order by d.is_replay, d.due_at, d.id limit $4
          ) f window place as (order by is_replay, due_at, id)
      ) p
     where bytes_through <= ${maxPageBytes} or n = 1
     order by n`,
    [endpointId, now, except, limit, maxReplays],
  )
}
