import { presentValues } from '../custom-fields/custom-fields.schema.ts'
import type { ValueRules } from '../custom-fields/values.ts'
import { formatTime } from '../lib/format-time.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import type { RecordedEvent } from './event-types.ts'

// The payloads of the contract (api-v2.md sections 6.2 and 6.3): their keys, and the order of these.

/** A subscriber's row, as the database writes it as JSON. */
type SubscriberRow = {
  id: number
  phone: number
  first_name: string
  last_name: string
  email: string
  zip_code: string
  birthdate: string
  gender: string | null
  tags: string[]
  custom_fields: Record<string, unknown>
  carrier: number
  carrier_name: string | null
  subscribed_at: string | null
  cleaned_at: string | null
  clean_reason: string | null
  last_message_id: number | null
}

type LastOptIn = { method: string; keyword: string | null }

/** The facts of a change of consent, which the function `record_consent_events` writes. */
type ConsentFacts = {
  optId: number
  subscriber: SubscriberRow
  lastOptIn: LastOptIn | null
  /** Broadcasts of the list that the number received. */
  messagesReceived: number
}

/** The facts of a reply to a message of a list, from a number that may never have been on the list. */
type ResponseFacts = {
  messageId: number
  sentAt: string
  content: string
  receivedAt: string
  reply: string
  optId: number | null
  subscriber: SubscriberRow | null
  lastOptIn: LastOptIn | null
}

/** The facts of a broadcast that was sent. */
type MessageFacts = {
  id: number
  name: string | null
  sentAt: string
  content: string
  delivered: number
  bounced: number
  pending: number
  cleaned: number
  unsubscribed: number
  cost: number
}

/** The facts of the result of a transactional message. */
type ResultFacts = { messageId: number; status: 'delivered' | 'bounced' | 'pending' }

/** The facts of a reply to a transactional message; the carrier is that of the number's look-up. */
type TransactionalReplyFacts = {
  messageId: number
  receivedAt: string
  reply: string
  carrier: number | null
  carrierName: string | null
}

/** The facts of an endpoint that was disabled. */
type DisabledFacts = { webhookId: number; reason: string; failingSince: string | null }

type Payload = Record<string, unknown>

/** Returns the payload of an event as JSON: the fixed keys, then the custom fields of the list, of which none replaces a fixed key. */
export function renderPayload(event: RecordedEvent, fields: ValueRules[]): string {
  const { fixed, custom = {} } = payloadOf(event, fields)
  const entries = [...Object.entries(fixed), ...Object.entries(custom).filter(([key]) => !Object.hasOwn(fixed, key))]
  // not JSON.stringify of an object, which would move keys such as `2026` to the front
  return `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`
}

/** Returns the payload of a test of a webhook, which has one key more. */
export function renderTestPayload(event: RecordedEvent, fields: ValueRules[]): string {
  return `${renderPayload(event, fields).slice(0, -1)},"is_test":true}`
}

function payloadOf(event: RecordedEvent, fields: ValueRules[]): { fixed: Payload; custom?: Payload } {
  switch (event.type) {
    case 'subscribe':
    case 'unsubscribe': {
      const facts = event.facts as ConsentFacts
      const custom = presentValues(fields, facts.subscriber.custom_fields, event.timeZone)
      return { fixed: consentPayload(event, facts), custom }
    }
    case 'cleaned':
      return { fixed: cleanedPayload(event, event.facts as ConsentFacts) }
    case 'message_sent':
      return { fixed: messagePayload(event, event.facts as MessageFacts) }
    case 'campaign_response': {
      const facts = event.facts as ResponseFacts
      const custom = presentValues(fields, facts.subscriber?.custom_fields ?? {}, event.timeZone)
      return { fixed: responsePayload(event, facts), custom }
    }
    case 'transactional_message_status':
      return { fixed: resultPayload(event, event.facts as ResultFacts) }
    case 'transactional_message_reply':
      return { fixed: transactionalReplyPayload(event, event.facts as TransactionalReplyFacts) }
    case 'momt_report':
      // text, because the keys of the report have an order
      return { fixed: { status: 'OK', momt_report: JSON.parse((event.facts as { report: string }).report) } }
    case 'webhook_disabled':
      return { fixed: disabledPayload(event, event.facts as DisabledFacts) }
  }
}

const start = ({ type, occurredAt, accountId, listId, timeZone }: RecordedEvent) => ({
  type,
  timestamp: formatTime(occurredAt, timeZone),
  account_id: accountId,
  campaign_id: listId,
})

/** The contract has `unsubscribe_date` after `timestamp`. */
function startOfUnsubscribe(event: RecordedEvent): Payload {
  const { type, timestamp, ...ids } = start(event)
  return { type, timestamp, unsubscribe_date: timestamp, ...ids }
}

function consentPayload(event: RecordedEvent, facts: ConsentFacts): Payload {
  return {
    ...(event.type === 'unsubscribe' ? startOfUnsubscribe(event) : start(event)),
    ...profile(event, facts),
    total_messages_received: facts.messagesReceived,
  }
}

function cleanedPayload(event: RecordedEvent, { subscriber }: ConsentFacts): Payload {
  return {
    ...start(event),
    subscriber_id: subscriber.id,
    phone_number: formatPhoneNumber(subscriber.phone),
    cleaned_at: timeOrNull(subscriber.cleaned_at, event.timeZone),
    clean_reason: subscriber.clean_reason,
    last_message_id: subscriber.last_message_id,
  }
}

function disabledPayload(event: RecordedEvent, { webhookId, reason, failingSince }: DisabledFacts): Payload {
  return {
    ...start(event),
    webhook_id: webhookId,
    reason,
    failing_since: timeOrNull(failingSince, event.timeZone),
  }
}

function messagePayload(event: RecordedEvent, facts: MessageFacts): Payload {
  return {
    ...start(event),
    message_id: facts.id,
    message_name: facts.name ?? '',
    sent_timestamp: formatTime(new Date(facts.sentAt), event.timeZone),
    is_mms: false,
    content: facts.content,
    // a string in the contract
    recipient_count: String(facts.delivered + facts.bounced + facts.pending),
    success_count: facts.delivered,
    bounce_count: facts.bounced,
    clean_count: facts.cleaned,
    unsubscribe_count: facts.unsubscribed,
    send_cost: facts.cost,
  }
}

function responsePayload(event: RecordedEvent, facts: ResponseFacts): Payload {
  return {
    ...start(event),
    message_id: facts.messageId,
    sent_timestamp: timeOrNull(facts.sentAt, event.timeZone),
    content: facts.content,
    response_timestamp: timeOrNull(facts.receivedAt, event.timeZone),
    reply_content: facts.reply,
    ...profile(event, facts),
    is_mms: false,
    attachment_urls: [],
  }
}

function resultPayload(
  { type, occurredAt, phone, timeZone }: RecordedEvent,
  { messageId, status }: ResultFacts,
): Payload {
  return {
    type,
    transactional_message_id: messageId,
    timestamp: formatTime(occurredAt, timeZone),
    phone_number: formatPhoneNumber(phone ?? 0),
    status,
  }
}

/** The contract has `carrier`, not `carrier_id`, and no `timestamp`. */
function transactionalReplyPayload(
  { type, phone, timeZone }: RecordedEvent,
  { messageId, receivedAt, reply, carrier, carrierName }: TransactionalReplyFacts,
): Payload {
  return {
    type,
    transactional_message_id: messageId,
    received_at: timeOrNull(receivedAt, timeZone),
    phone_number: formatPhoneNumber(phone ?? 0),
    carrier: carrier ?? 0,
    carrier_name: carrierName,
    content: reply,
  }
}

/** The profile block of the contract. */
function profile(
  { phone, timeZone }: RecordedEvent,
  { optId, subscriber, lastOptIn }: Pick<ResponseFacts, 'optId' | 'subscriber' | 'lastOptIn'>,
): Payload {
  const birthdate = subscriber?.birthdate ?? ''
  const [year, month, day] = [birthdate.slice(0, 4), birthdate.slice(4, 6), birthdate.slice(6, 8)]
  return {
    opt_id: optId,
    phone_number: formatPhoneNumber(phone ?? 0),
    carrier_id: subscriber?.carrier ?? 0,
    carrier_name: subscriber?.carrier_name ?? null,
    first_name: subscriber?.first_name || null,
    last_name: subscriber?.last_name || null,
    email_address: subscriber?.email || null,
    gender: subscriber?.gender ?? null,
    zip_code: subscriber?.zip_code || null,
    birthdate: birthdate === '' ? null : `${month}/${day}/${year}`,
    birthday: birthdate === '' ? null : `${month}/${day}`,
    tag_list: subscriber?.tags ?? [],
    first_opt_in_timestamp: timeOrNull(subscriber?.subscribed_at ?? null, timeZone),
    last_opt_in_method: lastOptIn?.method ?? null,
    last_opt_in_keyword: lastOptIn?.keyword ?? null,
  }
}

const timeOrNull = (time: string | null, timeZone: string) =>
  time === null ? null : formatTime(new Date(time), timeZone)
