import type { Db } from '../db/db.ts'

export type MessageView = {
  id: number
  content: string
  name: string | null
  kind: 'broadcast' | 'transactional' | 'system'
  status: 'draft' | 'scheduled' | 'sending' | 'sent' | 'cancelled'
  phone: number | null
  partCount: number
  sentAt: Date | null
  closedAt: Date | null
  cancelledAt: Date | null
  counters: Record<
    'queued' | 'submitting' | 'sent' | 'unknown' | 'delivered' | 'bounced' | 'expired' | 'cleaned' | 'unsubscribed',
    number
  >
}

const messageColumns = /* sql */ `
  m.id, m.content, m.name, m.kind, m.status, m.phone, m.part_count as "partCount", m.sent_at as "sentAt",
  m.closed_at as "closedAt", m.cancelled_at as "cancelledAt",
  json_build_object('queued', c.queued, 'submitting', c.submitting, 'sent', c.sent, 'unknown', c.unknown,
                    'delivered', c.delivered, 'bounced', c.bounced, 'expired', c.expired, 'cleaned', c.clean_count,
                    'unsubscribed', c.unsubscribe_count) as counters`

/** The list's broadcast of this id, in whatever state. */
export function findMessage(db: Db, listId: number, messageId: number) {
  return db.maybeOne<MessageView>(
    'find_message',
    /* sql */ `
    select ${messageColumns}
      from messages m
      join message_counters c on c.message_id = m.id
     where m.id = $1 and m.list_id = $2 and m.kind = 'broadcast'`,
    [messageId, listId],
  )
}

/** Which broadcasts of a list: those in one of the states whose time is in the days from `from` up to, not including, `to`. */
export type MessageFilter = { listId: number; statuses: string[]; from: Date | null; to: Date | null }

// when it was sent, or will be; while it is being sent, when that was asked for
const filter = /* sql */ `
  m.list_id = $1 and m.kind = 'broadcast' and m.status = any($2::text[])
  and ($3::timestamptz is null or coalesce(m.sent_at, m.accepted_at) >= $3)
  and ($4::timestamptz is null or coalesce(m.sent_at, m.accepted_at) < $4)`

/** A page of the list's broadcasts, newest first. */
export function listMessages(db: Db, given: MessageFilter, page: { offset: number; perPage: number }) {
  return db.many<MessageView>(
    'list_messages',
    /* sql */ `
    select ${messageColumns}
      from messages m
      join message_counters c on c.message_id = m.id
     where ${filter}
     order by m.id desc offset $5 limit $6`,
    [given.listId, given.statuses, given.from, given.to, page.offset, page.perPage],
  )
}

export async function countMessages(db: Db, given: MessageFilter): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    'count_messages',
    /* sql */ `select count(*) as n from messages m where ${filter}`,
    [given.listId, given.statuses, given.from, given.to],
  )
  return n
}
