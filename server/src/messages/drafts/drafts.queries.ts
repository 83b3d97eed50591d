import type { Db } from '../../db/db.ts'
import { isDisabled } from '../../log/disabled.sql.ts'
import { ofRound } from '../../log/failures.sql.ts'
import type { MessageStatus, NewBroadcast } from '../accept.queries.ts'
import type { Audience } from '../audience/audience.ts'
import type { Timing } from '../timing/timing.queries.ts'
import { hoursOf } from '../timing/windows.queries.ts'

export type LockedBroadcast = {
  id: number
  status: MessageStatus
  content: string
  name: string | null
  maxParts: number | null
  linkBase: string | null
  audience: Audience | null
  sendAt: Date | null
} & Timing

/**
 * Returns a broadcast of the list and locks it: no other transaction can change, start or delete it before this one
 * ends.
 */
export function findBroadcastForUpdate(tx: Db, listId: number, messageId: number) {
  return tx.maybeOne<LockedBroadcast>(
    'find_broadcast_for_update',
    /* sql */ `
    select id, status, content, name, max_parts as "maxParts", link_base as "linkBase", audience, send_at as "sendAt",
           local_time as "localTime", deliver_by as "deliverBy", quiet_hours as "quietHours", ${hoursOf('m')} as "sendHours"
      from messages m
     where id = $1 and list_id = $2 and kind = 'broadcast'
       for no key update`,
    [messageId, listId],
  )
}

/**
 * Rewrites a draft or a scheduled broadcast, with the list's current short code: scheduled if `sendAt` is set,
 * otherwise a draft.
 */
export async function updateDraft(tx: Db, messageId: number, message: NewBroadcast, sendAt: Date | null) {
  await tx.exec(
    'update_draft',
    /* sql */ `
    update messages
       set content = $2, name = $3, part_count = $4, max_parts = $5, audience = $6, send_at = $7, starts_at = $7,
           short_code_id = $8, link_base = $9,
           status = case when $7::timestamptz is null then 'draft' else 'scheduled' end
     where id = $1`,
    [
      messageId,
      message.content,
      message.name,
      message.partCount,
      message.maxParts,
      message.audience === null ? null : JSON.stringify(message.audience),
      sendAt,
      message.shortCodeId,
      message.linkBase,
    ],
  )
}

/** Deletes a message that was never started. */
export async function deleteMessage(tx: Db, messageId: number) {
  await tx.exec('delete_message', /* sql */ `delete from messages where id = $1`, [messageId])
}

export type DueBroadcast = {
  id: number
  accountId: number
  listId: number
  content: string
  maxParts: number | null
  linkBase: string | null
  sendAt: Date
  startsAt: Date
  deliverBy: Date | null
  latenessMinutes: number
  listDeleted: boolean
}

/** Returns the number of the account's drafts or scheduled broadcasts. */
export async function countPlanned(db: Db, accountId: number, status: 'draft' | 'scheduled'): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_planned_messages',
    // the condition of the index
    /* sql */ `
    select count(*) as n from messages where account_id = $1 and status = $2 and status in ('draft', 'scheduled')`,
    [accountId, status],
  )
  return n
}

/**
 * Locks and returns the scheduled broadcast that has been due the longest, of the first account after `lastAccount` that
 * has any or else of the first account, except those that another worker has locked: one whose start has not failed, or
 * only this one. None is due while the installation's sending is paused or the account is disabled, so that the lateness
 * afterwards is checked.
 */
export function claimDue(tx: Db, now: Date, only: number | null, lastAccount: number) {
  return tx.maybeOne<DueBroadcast>(
    'claim_due',
    /* sql */ `
    select m.id, m.account_id as "accountId", m.list_id as "listId", m.content, m.max_parts as "maxParts", m.link_base as "linkBase", m.send_at as "sendAt",
           m.starts_at as "startsAt", m.deliver_by as "deliverBy", l.scheduled_lateness_minutes as "latenessMinutes",
           l.deleted_at is not null as "listDeleted"
      from messages m join lists l on l.id = m.list_id
     where m.status = 'scheduled' and m.starts_at <= $1 and ${ofRound('start', 'm.id', 2)}
       and not exists (select from installation where sending_paused) and not ${isDisabled('m.account_id')}
     order by m.account_id <= $3, m.account_id, m.starts_at, m.id limit 1
       for no key update of m skip locked`,
    [now, only, lastAccount],
  )
}

/** Cancels a message that has not started. The transaction must have locked its row. */
export async function cancelDraft(
  tx: Db,
  messageId: number,
  at: Date,
  reason: 'too_late' | 'list_deleted' | 'content',
) {
  await tx.exec(
    'cancel_draft',
    /* sql */ `
    update messages set status = 'cancelled', cancelled_at = $2, closed_at = $2, cancel_reason = $3 where id = $1`,
    [messageId, at, reason],
  )
}
