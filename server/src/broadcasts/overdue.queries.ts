import type { Db } from '../db/db.ts'
import { totalsOf } from '../log/counters.sql.ts'
import { ofRound } from '../log/failures.sql.ts'

/** The unclosed messages of one account from one short code, and the time before which they must have ended to be overdue. */
export type EndedGroup = { accountId: number; shortCodeId: number; endedBefore: Date }

/**
 * The deadline of each short code: the latest one of its connections. A connection may have its own; that of `given` applies to
 * the others.
 */
const deadlines = /* sql */ `
  deadlines as materialized (
    select s.id as short_code_id,
           coalesce(max(coalesce(c.receipt_deadline_s * interval '1 second', given.deadline)), given.deadline) as deadline
      from short_codes s
      cross join given
      left join connections c
             on exists (select from short_code_routes r where r.short_code_id = s.id and r.connection_id = c.id)
             or (c.serves_all and not exists (select from short_code_routes r where r.short_code_id = s.id))
     group by s.id, given.deadline)`

/** The condition and the order of the index `messages_ended`. */
const isUnclosed = /* sql */ `m.status in ('sent', 'cancelled') and m.closed_at is null`
const endedAt = /* sql */ `greatest(m.sent_at, m.requeued_at, m.cancelled_at)`
const oldestOfGroup = (after: string) => /* sql */ `
  select m.account_id, m.short_code_id, ${endedAt} as ended_at from messages m
   where ${isUnclosed} and (m.account_id, m.short_code_id) > (${after})
   order by m.account_id, m.short_code_id, ${endedAt} limit 1`

/**
 * Returns up to `limit` groups with unclosed messages in order, from the one behind `after` on; `isDue` is true for
 * those with overdue messages.
 */
export function listEndedGroups(
  db: Db,
  now: Date,
  defaultDeadlineMs: number,
  after: Pick<EndedGroup, 'accountId' | 'shortCodeId'>,
  limit: number,
) {
  return db.many<EndedGroup & { isDue: boolean }>(
    'list_ended_groups',
    /* sql */ `
    with recursive given as (select $1 * interval '1 millisecond' as deadline), ${deadlines}, found as (
      -- one look-up per group
      select oldest.*, 1 as n
        from (select $3::bigint as account_id, $4::bigint as short_code_id) start
       cross join lateral (${oldestOfGroup('start.account_id, start.short_code_id')}) oldest
      union all
      select next.*, n + 1
        from found cross join lateral (${oldestOfGroup('found.account_id, found.short_code_id')}) next
       where n < $5
    )
    select f.account_id as "accountId", f.short_code_id as "shortCodeId", $2::timestamptz - d.deadline as "endedBefore",
           f.ended_at < $2::timestamptz - d.deadline as "isDue"
      from found f join deadlines d on d.short_code_id = f.short_code_id
     order by f.account_id, f.short_code_id`,
    [defaultDeadlineMs, now, after.accountId, after.shortCodeId, limit],
  )
}

/** Returns the group of a message; undefined if the message does not exist. */
export function findEndedGroup(db: Db, now: Date, defaultDeadlineMs: number, messageId: number) {
  return db.maybeOne<EndedGroup>(
    'find_ended_group',
    /* sql */ `
    with given as (select $1 * interval '1 millisecond' as deadline), ${deadlines}
    select m.account_id as "accountId", m.short_code_id as "shortCodeId", $2::timestamptz - d.deadline as "endedBefore"
      from messages m join deadlines d on d.short_code_id = m.short_code_id
     where m.id = $3`,
    [defaultDeadlineMs, now, messageId],
  )
}

export type OverdueMessage = {
  messageId: number
  loggedOn: string
  /** When its unknown texts were last requeued. */
  requeuedAt: Date | null
  /** Whether its unknown texts may be requeued. */
  mayRequeue: boolean
  /** Whether it is a broadcast or a transactional message of a list, whose received texts are counted. */
  isOfList: boolean
}

/**
 * Returns up to `share` overdue messages of each of these groups, the oldest of each account first: those whose closing has not
 * failed, or only this one.
 */
export function listOverdue(db: Db, now: Date, groups: EndedGroup[], share: number, only: number | null) {
  return db.many<OverdueMessage>(
    only === null ? 'list_overdue' : 'find_overdue',
    /* sql */ `
    select id as "messageId", logged_on as "loggedOn", requeued_at as "requeuedAt",
           -- not if its unknown texts were requeued before, or its list was deleted
           status = 'sent' and requeued_at is null and kind <> 'system' and coalesce(deliver_by > $1, true)
             and exists (select from lists l
                          where l.id = list_id and l.when_unknown = 'never_miss' and l.deleted_at is null)
             as "mayRequeue",
           list_id is not null and kind <> 'system' as "isOfList"
      from unnest($2::bigint[], $3::bigint[], $4::timestamptz[]) as given(account_id, short_code_id, ended_before)
     cross join (select $6::bigint as only_id) only_one
     cross join lateral (
       select m.*, ${endedAt} as ended_at
         from messages m
        where ${isUnclosed} and m.account_id = given.account_id and m.short_code_id = given.short_code_id
          and ${endedAt} < given.ended_before ${only === null ? '' : 'and m.id = only_id'}
          and ${ofRound('close', 'm.id', 6)}
          -- rows that a gateway left submitting must become unknown first
          and (m.status = 'sent' or exists (select from ${totalsOf('m.id')} c where c.queued = 0 and c.submitting = 0))
        order by ${endedAt} limit $5) ended
     order by row_number() over (partition by ended.account_id order by ended_at), ended_at`,
    [
      now,
      groups.map(({ accountId }) => accountId),
      groups.map(({ shortCodeId }) => shortCodeId),
      groups.map(({ endedBefore }) => endedBefore),
      share,
      only,
    ],
  )
}

/**
 * Locks a message whose unknown texts may be requeued; returns false if they were requeued before, or it was cancelled.
 */
export async function claimRequeue(tx: Db, message: { messageId: number }): Promise<boolean> {
  const row = await tx.maybeOne(
    'claim_requeue',
    /* sql */ `
    select 1 from messages where id = $1 and status = 'sent' and closed_at is null and requeued_at is null for update`,
    [message.messageId],
  )
  return row !== undefined
}
