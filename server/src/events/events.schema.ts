import { presentValues } from '../custom-fields/custom-fields.schema.ts'
import type { ValueRules } from '../custom-fields/values.ts'
import { formatTime } from '../http/schema.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import type { RecordedEvent } from './event-types.ts'

// The payloads of the contract (api-v2.md section 6.2): their keys, and the order of these.

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

/** The facts of a change of consent, which the function `report_opts` writes. */
type ConsentFacts = {
  optId: number
  subscriber: SubscriberRow
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

type Payload = Record<string, unknown>

/** Values that are not in the facts of an event, because they cost too much in the transaction of the change. */
export type Context = {
  fields: ValueRules[]
  /** Messages of the list that were sent to the number. */
  messagesReceived: number
}

/** Returns the payload of an event as JSON. */
export function renderPayload(event: RecordedEvent, context: Context): string {
  return JSON.stringify(payloadOf(event, context))
}

function payloadOf(event: RecordedEvent, context: Context): Payload {
  switch (event.type) {
    case 'subscribe':
    case 'unsubscribe':
      return consentPayload(event, event.facts as ConsentFacts, context)
    case 'cleaned':
      return cleanedPayload(event, event.facts as ConsentFacts)
    case 'message_sent':
      return messagePayload(event, event.facts as MessageFacts)
    default:
      return { ...start(event), ...event.facts }
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

function consentPayload(event: RecordedEvent, facts: ConsentFacts, { fields, messagesReceived }: Context): Payload {
  const { timeZone, type } = event
  return withCustomFields(
    {
      ...(type === 'unsubscribe' ? startOfUnsubscribe(event) : start(event)),
      ...profile(facts, timeZone),
      total_messages_received: messagesReceived,
    },
    presentValues(fields, facts.subscriber.custom_fields, timeZone),
  )
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

/** The profile block of the contract. */
function profile({ optId, subscriber, lastOptIn }: ConsentFacts, timeZone: string): Payload {
  const { birthdate } = subscriber
  const [year, month, day] = [birthdate.slice(0, 4), birthdate.slice(4, 6), birthdate.slice(6, 8)]
  return {
    opt_id: optId,
    phone_number: formatPhoneNumber(subscriber.phone),
    carrier_id: subscriber.carrier,
    carrier_name: subscriber.carrier_name,
    first_name: subscriber.first_name || null,
    last_name: subscriber.last_name || null,
    email_address: subscriber.email || null,
    gender: subscriber.gender,
    zip_code: subscriber.zip_code || null,
    birthdate: birthdate === '' ? null : `${month}/${day}/${year}`,
    birthday: birthdate === '' ? null : `${month}/${day}`,
    tag_list: subscriber.tags,
    first_opt_in_timestamp: timeOrNull(subscriber.subscribed_at, timeZone),
    last_opt_in_method: lastOptIn?.method ?? null,
    last_opt_in_keyword: lastOptIn?.keyword ?? null,
  }
}

/** Adds custom fields after the fixed keys; a field never replaces a fixed key. */
function withCustomFields(payload: Payload, values: Payload): Payload {
  const added = Object.entries(values).filter(([key]) => !Object.hasOwn(payload, key))
  return Object.fromEntries([...Object.entries(payload), ...added])
}

const timeOrNull = (time: string | null, timeZone: string) =>
  time === null ? null : formatTime(new Date(time), timeZone)
