import type { Db } from '../../db/db.ts'
import { param, raw, type Sql, sql } from '../../db/sql.ts'
import { nextAccount } from '../../jobs/next-account.sql.ts'
import { receivesType } from '../delivery/deliveries.queries.ts'

/** The events that a replay delivers again: those of a range of positions, or those that were given up since a time. */
export type ReplayScope =
  | { kind: 'positions'; fromPosition: number; toPosition: number }
  | { kind: 'failures'; failedSince: Date }

export type Replay = {
  id: number
  webhookId: number
  kind: ReplayScope['kind']
  fromPosition: number | null
  toPosition: number | null
  failedSince: Date | null
  /** Deliveries that it has queued. */
  replayed: number
  state: 'queued' | 'done' | 'capped' | 'failed'
  createdAt: Date
  endedAt: Date | null
  /** Where another replay can continue after a capped one. */
  nextPosition: number | null
  nextFailedSince: Date | null
}

/** A replay that a transaction works on. */
export type OpenReplay = Pick<Replay, 'id' | 'kind' | 'replayed' | 'createdAt'> & {
  accountId: number
  endpointId: number
  failures: number
  toPosition: number | null
  /** The position, or the time and id of the failed attempt, after which the next slice begins. */
  afterPosition: number | null
  afterAt: Date | null
  afterAttempt: number
}

const columns = /* sql */ `
  r.id, p.webhook_id as "webhookId", r.kind, r.from_position as "fromPosition", r.to_position as "toPosition",
  r.failed_since as "failedSince", r.replayed, r.state, r.created_at as "createdAt", r.ended_at as "endedAt",
  case when r.state = 'capped' and r.kind = 'positions' then r.after_position + 1 end as "nextPosition",
  case when r.state = 'capped' and r.kind = 'failures' then r.after_at end as "nextFailedSince"`

/** Inserts a replay for an endpoint and returns it. */
export function insertReplay(tx: Db, accountId: number, endpointId: number, scope: ReplayScope, now: Date) {
  const [from, to] = scope.kind === 'positions' ? [scope.fromPosition, scope.toPosition] : [null, null]
  const since = scope.kind === 'failures' ? scope.failedSince : null
  return tx.one<Replay>(
    'insert_replay',
    /* sql */ `
    with r as (
      insert into replays (account_id, endpoint_id, kind, from_position, to_position, failed_since, after_position, after_at,
                           created_at)
      values ($1, $2, $3, $4, $5, $6, $4::bigint - 1, $6, $7)
      returning *
    )
    select ${columns} from r join endpoints p on p.id = r.endpoint_id`,
    [accountId, endpointId, scope.kind, from, to, since, now],
  )
}

/** Returns the replay of the webhook with this id, or undefined. */
export function findReplay(db: Db, webhookId: number, id: number) {
  return db.maybeOne<Replay>(
    'find_replay',
    /* sql */ `
    select ${columns} from replays r join endpoints p on p.id = r.endpoint_id where r.id = $2 and p.webhook_id = $1`,
    [webhookId, id],
  )
}

/** Returns the number of the account's replays that have not ended. */
export async function countOpenReplays(db: Db, accountId: number): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_open_replays',
    /* sql */ `select count(*) as n from replays where account_id = $1 and ended_at is null`,
    [accountId],
  )
  return n
}

const isDue = (now: Sql) => sql`r.ended_at is null and (r.retry_at is null or r.retry_at <= ${now}::timestamptz)`

/** Returns the first account above `after` with due replays, or the first of all; undefined if none is due. */
export async function findNextAccountWithReplays(db: Db, after: number, now: Date): Promise<number | undefined> {
  const row = await db.maybeOne<{ accountId: number }>(
    'find_next_account_with_replays',
    nextAccount(raw('replays r'), isDue(param(now)), after),
  )
  return row?.accountId
}

/** Locks the oldest due replay of an account for a slice, and returns it. */
export function lockNextReplay(tx: Db, accountId: number, now: Date) {
  return tx.maybeOne<OpenReplay>(
    'lock_next_replay',
    sql`
    select r.id, r.account_id as "accountId", r.endpoint_id as "endpointId", r.kind, r.replayed, r.failures,
           r.created_at as "createdAt", r.to_position as "toPosition", r.after_position as "afterPosition",
           r.after_at as "afterAt", r.after_attempt as "afterAttempt"
      from replays r
     where r.account_id = ${accountId} and ${isDue(param(now))}
     order by r.id limit 1
       for update of r`,
  )
}

/** One row that a slice has read; `position` is null if it is not replayed. */
export type Scanned = Pick<OpenReplay, 'afterPosition' | 'afterAt' | 'afterAttempt'> & { position: number | null }

/** Returns the next events of a range, of all lists of the account; those that the webhook does not receive are not replayed. */
export function scanEvents(tx: Db, replay: OpenReplay, oldest: Date, limit: number) {
  return tx.many<Scanned>(
    'scan_events_to_replay',
    sql`
    select case when v.list_id = w.list_id and (${raw(receivesType)}) and v.occurred_at >= ${oldest}
                then v.position end as position,
           v.position as "afterPosition", ${replay.afterAt}::timestamptz as "afterAt",
           ${replay.afterAttempt}::bigint as "afterAttempt"
      from (select position, list_id, type, occurred_at from events
             where account_id = ${replay.accountId} and position > ${replay.afterPosition} and position <= ${replay.toPosition}
             order by position limit ${limit}) v
     cross join endpoints p join webhooks w on w.id = p.webhook_id
     where p.id = ${replay.endpointId} and w.deleted_at is null
     order by v.position`,
  )
}

/**
 * Returns the next failed attempts that were made before the replay was requested. Of an event that was given up, the last
 * attempt is replayed unless it was delivered later; of others, so that a waiting delivery becomes due.
 */
export function scanFailures(tx: Db, replay: OpenReplay, oldest: Date, limit: number) {
  return tx.many<Scanned>(
    'scan_failures_to_replay',
    sql`
    select case when v.occurred_at >= ${oldest} and not v.is_test
                 and not exists (select from delivery_attempts d
                                  where d.position = a.position and d.endpoint_id = a.endpoint_id and d.id > a.id
                                    and (d.outcome = 'delivered' or d.outcome = 'dead' and d.started_at < ${replay.createdAt}))
                 and (a.outcome = 'dead' or exists (select from deliveries d where d.endpoint_id = a.endpoint_id
                                                                                and d.position = a.position))
                then a.position end as position,
           ${replay.afterPosition}::bigint as "afterPosition", a.started_at as "afterAt", a.id as "afterAttempt"
      from (select id, endpoint_id, position, outcome, started_at from delivery_attempts
             where endpoint_id = ${replay.endpointId} and outcome <> 'delivered'
               and (started_at, id) > (${replay.afterAt}::timestamptz, ${replay.afterAttempt}::bigint)
               and started_at < ${replay.createdAt}
             order by started_at, id limit ${limit}) a
      left join events v on v.position = a.position
     order by a.started_at, a.id`,
  )
}

/** Moves a replay to the end of a slice; `state` ends it. */
export function moveReplay(
  tx: Db,
  id: number,
  to: Omit<Scanned, 'position'> & { queued: number; ended: Ended | null },
) {
  return tx.exec(
    'move_replay',
    sql`
    update replays
       set after_position = ${to.afterPosition}, after_at = ${to.afterAt}, after_attempt = ${to.afterAttempt},
           replayed = replayed + ${to.queued}, failures = 0, retry_at = null,
           state = coalesce(${to.ended?.state ?? null}, state), ended_at = ${to.ended?.at ?? null}
     where id = ${id}`,
  )
}

export type Ended = { state: 'done' | 'capped' | 'failed'; at: Date }

/** Ends a replay that cannot be completed. */
export function failReplay(tx: Db, id: number, now: Date) {
  return tx.exec('fail_replay', /* sql */ `update replays set state = 'failed', ended_at = $2 where id = $1`, [id, now])
}

/** Sets the number of failed turns of a replay, and when its next one is due. */
export function postponeReplay(tx: Db, id: number, failures: number, until: Date) {
  return tx.exec('postpone_replay', /* sql */ `update replays set failures = $2, retry_at = $3 where id = $1`, [
    id,
    failures,
    until,
  ])
}

/** Deletes up to `limit` replays that ended before a time, and returns how many. */
export function deleteReplays(db: Db, before: Date, limit: number): Promise<number> {
  return db.exec(
    'delete_replays',
    /* sql */ `
    delete from replays where id = any(array(select id from replays where ended_at < $1 order by ended_at limit $2))`,
    [before, limit],
  )
}

/**
 * Returns the last position of the installation, the last one whose event is deleted or occurred before `oldest`, and the event at a
 * position, if it exists.
 */
export function findReplayable(db: Db, webhookId: number, position: number | null, oldest: Date) {
  return db.one<{
    last: number
    deleted: number
    endpointId: number
    disabled: boolean
    event: { occurredAt: string; received: boolean } | null
  }>(
    'find_replayable',
    /* sql */ `
    select s.last_position as last, p.id as "endpointId",
           greatest(s.deleted_position,
                    (select v.position from events v where v.occurred_at < $3 and not v.is_test
                      order by v.occurred_at desc limit 1)) as deleted,
           p.disabled_at is not null as disabled,
           (select json_build_object('occurredAt', v.occurred_at, 'received', v.list_id = w.list_id and not v.is_test
                   and (${receivesType}))
              from events v where v.position = $2 and v.account_id = p.account_id) as event
      from event_sequence s, endpoints p join webhooks w on w.id = p.webhook_id
     where p.webhook_id = $1`,
    [webhookId, position, oldest],
  )
}

/** The endpoint and event of an attempt, for its replay: null if the endpoint or the event no longer exists. */
export type AttemptedEvent = {
  endpointId: number | null
  position: number
  disabled: boolean
  isTest: boolean
  occurredAt: Date | null
  deleted: number
}

/** Returns the endpoint and event of an attempt of the account, or undefined. */
export function findAttemptedEvent(db: Db, accountId: number, attemptId: number) {
  return db.maybeOne<AttemptedEvent>(
    'find_attempted_event',
    /* sql */ `
    select case when w.deleted_at is null then p.id end as "endpointId", a.position, p.disabled_at is not null as disabled,
           a.is_test as "isTest", v.occurred_at as "occurredAt", s.deleted_position as deleted
      from event_sequence s, delivery_attempts a
      left join endpoints p on p.id = a.endpoint_id
      left join webhooks w on w.id = p.webhook_id
      left join events v on v.position = a.position
     where a.id = $2 and a.account_id = $1`,
    [accountId, attemptId],
  )
}
