import type { Db } from '../db/db.ts'
import { columnsOf, raw, sql, valuesOf } from '../db/sql.ts'
import type { Consent } from '../log/consent.ts'
import { insertBroadcastCounters, insertCounters } from '../log/counters.sql.ts'
import { type AddressedChunk, insertExpansions, insertRecipients } from '../log/recipients.sql.ts'
import type { Audience } from './audience/audience.ts'

export type MessageStatus = 'draft' | 'scheduled' | 'sending' | 'sent' | 'cancelled'

export type NewMessage = {
  accountId: number
  listId: number | null
  shortCodeId: number
  kind: 'broadcast' | 'transactional' | 'system'
  /** Whether it is the test of a broadcast; default false. */
  isTest?: boolean
  name: string | null
  content: string
  consent: Consent
  partCount: number
  createdAt: Date
  webhookCallbackUrl?: string | null
  /** The base of short URLs for its links; null if they are not tracked. */
  linkBase?: string | null
}

export type NewBroadcast = NewMessage & {
  maxParts: number | null
  linkBase: string | null
  audience: Audience | null
}

/** Inserts a draft or, with a planned time, a scheduled message, with its counters at zero; returns its id. */
export async function insertDraft(tx: Db, message: NewBroadcast, sendAt: Date | null): Promise<number> {
  const row = {
    ...broadcastRow(message),
    status: sendAt === null ? 'draft' : 'scheduled',
    send_at: sendAt,
    starts_at: sendAt,
  }
  const { id } = await tx.one<{ id: number }>(
    'insert_draft',
    sql`
    with added as (
      insert into messages (${columnsOf(row)}) values (${valuesOf(row)}) returning id
    )
    ${insertCounters('added')}
    returning message_id as id`,
  )
  return id
}

/**
 * Inserts a broadcast that is being sent, with its counters at zero and its expansion at the beginning; returns its id.
 */
export async function insertBroadcast(tx: Db, message: NewBroadcast, loggedOn: string): Promise<number> {
  const row = { ...broadcastRow(message), status: 'sending', accepted_at: message.createdAt, logged_on: loggedOn }
  const { id } = await tx.one<{ id: number }>(
    'insert_broadcast',
    sql`
    with added as (
      insert into messages (${columnsOf(row)}) values (${valuesOf(row)}) returning id
    ), counters as (${insertBroadcastCounters('added')}
    )
    ${raw(insertExpansions('added'))}
    returning message_id as id`,
  )
  return id
}

/**
 * Starts a draft or scheduled message, whose row the transaction has locked. Its audience is the list's subscribers at
 * the planned time, or at `at` if `sendAt` is null.
 */
export async function startDraft(tx: Db, messageId: number, at: Date, loggedOn: string, sendAt: Date | null) {
  await tx.exec(
    'start_draft',
    /* sql */ `
    with started as (
      update messages m
         -- the list may have moved to another short code while the message waited
         set status = 'sending', accepted_at = $2, logged_on = $3, send_at = $4,
             starts_at = case when $4::timestamptz is not null then starts_at end,
             local_at = case when $4::timestamptz is not null then local_at end, short_code_id = l.short_code_id
        from lists l
       where m.id = $1 and l.id = m.list_id
      returning m.id
    )
    , counters as (${insertBroadcastCounters('started')}
    )
    ${insertExpansions('started')}`,
    [messageId, at, loggedOn, sendAt],
  )
}

/** Recipient-specific text, sent instead of the message's content. */
export type PersonalContent = { content: string; partCount: number }

/**
 * Inserts a message to at most a thousand numbers with its log rows and chunks, so it needs no expansion; returns its
 * id.
 */
export async function insertAddressed(
  tx: Db,
  message: NewMessage,
  given: {
    phones: number[]
    personal?: PersonalContent[]
    lane: number
    loggedOn: string
    deliverBy?: Date | null
    /** The chunks of `phones`; undefined means a single chunk without a window, due immediately. */
    chunks?: AddressedChunk[]
  },
): Promise<number> {
  const { phones, personal, lane, loggedOn } = given
  const recipients = phones.map((phone, n) => {
    return { phone, content: personal?.[n]?.content ?? null, partCount: personal?.[n]?.partCount ?? message.partCount }
  })
  const single = { first: 0, last: phones.length - 1, dueAt: message.createdAt, closesAt: null, location: null }
  const { shortCodeId, createdAt } = message
  const added = { shortCodeId, loggedOn, lane, recipients, chunks: given.chunks ?? [single] }
  const row = {
    ...messageRow(message),
    webhook_callback_url: message.webhookCallbackUrl ?? null,
    ...reportsOf(message, phones),
    phone: phones.length === 1 ? phones[0] : null,
    status: 'sending',
    accepted_at: createdAt,
    expanded_at: createdAt,
    logged_on: loggedOn,
    deliver_by: given.deliverBy ?? null,
  }
  const { id } = await tx.one<{ id: number }>(
    'insert_addressed',
    sql`
    with added as (
      insert into messages (${columnsOf(row)}) values (${valuesOf(row)}) returning id
    ), ${insertRecipients('added', added)}
    select id from added`,
  )
  return id
}

/** Returns the columns by which the result of a transactional message and the replies to it are events, if anybody receives them. */
function reportsOf({ kind, accountId, listId, webhookCallbackUrl = null, createdAt }: NewMessage, phones: number[]) {
  const isToOne = kind === 'transactional' && listId === null && phones.length === 1
  const isReported = sql`(${isToOne}::boolean and (${webhookCallbackUrl}::text is not null
                          or (select event_feed from accounts where id = ${accountId}::bigint)))`
  return { is_reported: isReported, report_at: sql`case when ${isReported} then ${createdAt}::timestamptz end` }
}

/** Returns the columns that every message has. */
function messageRow(message: NewMessage) {
  return {
    account_id: message.accountId,
    list_id: message.listId,
    short_code_id: message.shortCodeId,
    kind: message.kind,
    is_test: message.isTest ?? false,
    name: message.name,
    content: message.content,
    consent: message.consent,
    part_count: message.partCount,
    link_base: message.linkBase ?? null,
    created_at: message.createdAt,
  }
}

function broadcastRow(message: NewBroadcast) {
  const { audience, maxParts } = message
  return { ...messageRow(message), max_parts: maxParts, audience: audience === null ? null : JSON.stringify(audience) }
}
