import { type Static, Type } from 'typebox'
import { presentValues } from '../custom-fields/custom-fields.schema.ts'
import type { ValueRules } from '../custom-fields/values.ts'
import { errors } from '../errors.ts'
import { Count, formatTime, Id, Whole } from '../http/schema.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import { eventTypes, type RecordedEvent } from './event-types.ts'
import type { Feed, FeedPage } from './feed.ts'

const maxPageSize = 1_000
const maxWaitSeconds = 30

export const EventsQuery = Type.Object({
  after: Type.Optional(
    Whole(0, Number.MAX_SAFE_INTEGER, 'Position after which to read; without it, from the oldest event.'),
  ),
  types: Type.Optional(
    Type.String({
      maxLength: 500,
      description: `Types, separated by commas: ${eventTypes.map((type) => `\`${type}\``).join(', ')}.`,
    }),
  ),
  limit: Type.Optional(Whole(1, maxPageSize, 'Maximum number of events; 100 by default.')),
  wait: Type.Optional(Whole(0, maxWaitSeconds, 'Seconds to wait for an event if there is none.')),
})

/** Returns a query of the feed; throws a 422 for an unknown type. */
export function readEventsQuery({ after, types, limit = 100, wait = 0 }: Static<typeof EventsQuery>) {
  const given = types?.split(',').map((type) => type.trim())
  const unknown = given?.find((type) => !(eventTypes as readonly string[]).includes(type))
  if (unknown !== undefined) throw errors.invalid({ types: [`has the unknown type ${unknown.slice(0, 60)}`] })
  return { after: after ?? null, types: given ?? null, limit, waitMs: wait * 1_000 }
}

export const EventPage = Type.Object({
  status: Type.Literal('OK'),
  events: Type.Array(
    Type.Object(
      {
        position: Id('Position in the feed.'),
        event: Type.Unsafe<unknown>({ type: 'object', description: 'The payload, as a webhook receives it.' }),
      },
      { title: 'Event' },
    ),
  ),
  next_after: Count('The value of `after` for the next request.'),
})

/**
 * Presents a page as JSON text, which contains the payloads as they are stored: if they were parsed, custom fields such as
 * `2026` would come first.
 */
export function presentEventPage({ events, nextAfter }: FeedPage): string {
  const items = events.map(({ position, payload }) => `{"position":${position},"event":${payload}}`)
  return `{"status":"OK","events":[${items.join(',')}],"next_after":${nextAfter}}`
}

const FeedSchema = Type.Object(
  {
    enabled: Type.Boolean(),
    oldest_position: Id('The oldest position that may be read.'),
    last_position: Count('The last position, of any account.'),
  },
  { title: 'EventFeed' },
)

export const FeedBody = Type.Object({
  event_feed: Type.Object({ enabled: Type.Boolean() }, { title: 'EventFeedChange' }),
})

export const FeedResponse = Type.Object({ status: Type.Literal('OK'), event_feed: FeedSchema })

export function presentFeed({ enabled, oldestPosition, lastPosition }: Feed): Static<typeof FeedSchema> {
  return { enabled, oldest_position: oldestPosition, last_position: lastPosition }
}

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

type Payload = Record<string, unknown>

/** Values that are not in the facts of an event, because they cost too much in the transaction of the change. */
export type Context = {
  fields: ValueRules[]
  /** Messages of the list that were sent to the number. */
  messagesReceived: number
}

/** Returns the payload of an event as JSON: the fixed keys, then the custom fields, of which none replaces a fixed key. */
export function renderPayload(event: RecordedEvent, context: Context): string {
  const { fixed, custom = {} } = payloadOf(event, context)
  const entries = [...Object.entries(fixed), ...Object.entries(custom).filter(([key]) => !Object.hasOwn(fixed, key))]
  // not JSON.stringify of an object, which would move keys such as `2026` to the front
  return `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`
}

function payloadOf(event: RecordedEvent, context: Context): { fixed: Payload; custom?: Payload } {
  switch (event.type) {
    case 'subscribe':
    case 'unsubscribe': {
      const facts = event.facts as ConsentFacts
      const custom = presentValues(context.fields, facts.subscriber.custom_fields, event.timeZone)
      return { fixed: consentPayload(event, facts, context), custom }
    }
    case 'cleaned':
      return { fixed: cleanedPayload(event, event.facts as ConsentFacts) }
    case 'message_sent':
      return { fixed: messagePayload(event, event.facts as MessageFacts) }
    case 'campaign_response': {
      const facts = event.facts as ResponseFacts
      const custom = presentValues(context.fields, facts.subscriber?.custom_fields ?? {}, event.timeZone)
      return { fixed: responsePayload(event, facts), custom }
    }
    default:
      return { fixed: { ...start(event), ...event.facts } }
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

function consentPayload(event: RecordedEvent, facts: ConsentFacts, { messagesReceived }: Context): Payload {
  return {
    ...(event.type === 'unsubscribe' ? startOfUnsubscribe(event) : start(event)),
    ...profile(event, facts),
    total_messages_received: messagesReceived,
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
