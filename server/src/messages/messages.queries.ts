import type { Db } from '../db/db.ts'
import { param, raw, type Sql, sql } from '../db/sql.ts'
import type { PageBounds } from '../lib/paging.ts'
import { totalsOf } from '../log/counters.sql.ts'
import type { Hours } from '../quiet-hours/windows.ts'
import type { MessageStatus } from './accept.queries.ts'
import type { Audience } from './audience/audience.ts'
import { hoursOf } from './timing/windows.queries.ts'

export type MessageView = {
  id: number
  content: string
  name: string | null
  kind: 'broadcast' | 'transactional' | 'system'
  status: MessageStatus
  phone: number | null
  partCount: number
  maxParts: number | null
  /** The base of short URLs for its links; null if they are not tracked. */
  linkBase: string | null
  audience: Audience | null
  createdAt: Date
  sendAt: Date | null
  acceptedAt: Date | null
  sentAt: Date | null
  closedAt: Date | null
  cancelledAt: Date | null
  cancelReason: string | null
  /** The bill, once computed: the cost in dollars and cents, and the suppressed recipients by reason. */
  bill: { parts: number; least: number; most: number; cost: number; suppressions: Record<string, number> } | null
  /** The work on the message that is set aside, because it keeps failing; null if there is none. */
  setAside: { work: string; since: string; attempts: number; error: string; retryAt: string }[] | null
  /** The time since when the message is paused; null if it is not. */
  pausedAt: Date | null
  timing: { localTime: boolean; deliverBy: string | null; quietHours: boolean; sendHours: Hours | null }
  /** Its links with their counts, once it is being sent; null if they are not tracked or there are none. */
  links: { link: string; clicks: number; unique: number; human: number; uniqueHuman: number }[] | null
  counters: Record<
    | 'queued'
    | 'submitting'
    | 'sent'
    | 'unknown'
    | 'delivered'
    | 'bounced'
    | 'expired'
    | 'suppressed'
    | 'cleaned'
    | 'unsubscribed',
    number
  >
}

const messageColumns = /* sql */ `
  m.id, m.content, m.name, m.kind, m.status, m.phone, m.part_count as "partCount", m.max_parts as "maxParts", m.link_base as "linkBase",
  m.audience, m.created_at as "createdAt", m.send_at as "sendAt", m.accepted_at as "acceptedAt", m.sent_at as "sentAt",
  m.closed_at as "closedAt", m.cancelled_at as "cancelledAt", m.cancel_reason as "cancelReason",
  m.paused_at as "pausedAt",
  json_build_object('localTime', m.local_time, 'deliverBy', m.deliver_by, 'quietHours', m.quiet_hours,
                    'sendHours', ${hoursOf('m')}) as timing,
  json_build_object('queued', c.queued, 'submitting', c.submitting, 'sent', c.sent, 'unknown', c.unknown,
                    'delivered', c.delivered, 'bounced', c.bounced, 'expired', c.expired, 'suppressed', c.suppressed, 'cleaned', c.clean_count,
                    'unsubscribed', c.unsubscribe_count) as counters,
  (select json_build_object('parts', b.parts, 'least', b.least_parts, 'most', b.most_parts, 'cost', round(b.cost, 2), 'suppressions', b.suppressions)
     from message_bills b where b.message_id = m.id) as bill,
  case when m.link_base is not null then
    (select json_agg(json_build_object('link', k.link, 'clicks', k.click_count, 'unique', k.unique_click_count,
                                       'human', k.human_click_count, 'uniqueHuman', k.unique_human_click_count)
                     order by k.position)
       from links k where k.message_id = m.id) end as links,
  (select json_agg(json_build_object('work', f.sweep, 'since', f.first_failed_at, 'attempts', f.attempts, 'error', f.error,
                                     'retryAt', f.retry_at) order by f.sweep)
     from message_failures f where f.message_id = m.id and f.set_aside_at is not null) as "setAside"`

/** Returns the list's message, in any status: a broadcast or a transactional message. */
export function findMessage(db: Db, listId: number, messageId: number) {
  return db.maybeOne<MessageView>(
    'find_message',
    /* sql */ `
    select ${messageColumns}
      from messages m
      cross join ${totalsOf('m.id')} c
     where m.id = $1 and m.list_id = $2 and m.kind in ('broadcast', 'transactional')`,
    [messageId, listId],
  )
}

export type Collection = 'sent' | 'draft' | 'scheduled'

/** Selects the broadcasts of a list whose time is at or after `from` and before `to`. */
export type MessageFilter = { listId: number; from: Date | null; to: Date | null }

// The partial index of broadcasts by list serves all collections. They differ in the time that the filter compares.
const collections: Record<Collection, { statuses: string; time: string }> = {
  // the accepting time while it is being sent; the cancelling time if it was cancelled before that
  sent: {
    statuses: `'sending', 'sent', 'cancelled'`,
    time: 'coalesce(m.sent_at, m.accepted_at, m.cancelled_at)',
  },
  draft: { statuses: `'draft'`, time: 'm.created_at' },
  scheduled: { statuses: `'scheduled'`, time: 'm.send_at' },
}

function filterOf(collection: Collection, given: MessageFilter): Sql {
  const { statuses, time } = collections[collection]
  const [from, to] = [param(given.from), param(given.to)]
  return sql`
    m.list_id = ${given.listId} and m.kind = 'broadcast' and m.status in (${raw(statuses)})
    and (${from}::timestamptz is null or ${raw(time)} >= ${from}) and (${to}::timestamptz is null or ${raw(time)} < ${to})`
}

/** Returns a page of the list's broadcasts, newest first. */
export function listMessages(db: Db, collection: Collection, given: MessageFilter, page: PageBounds) {
  return db.many<MessageView>(
    `list_${collection}_messages`,
    sql`
    select ${raw(messageColumns)}
      from messages m
      cross join ${totalsOf('m.id')} c
     where ${filterOf(collection, given)}
     order by m.id desc offset ${page.offset} limit ${page.perPage}`,
  )
}

export async function countMessages(db: Db, collection: Collection, given: MessageFilter): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    `count_${collection}_messages`,
    sql`select count(*) as n from messages m where ${filterOf(collection, given)}`,
  )
  return n
}
