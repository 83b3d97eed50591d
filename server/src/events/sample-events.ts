import type { CallbackType, ListEventType, RecordedEvent } from './event-types.ts'

// Made-up events, for tests of webhooks and previews of payloads. Their ids are 0, which no record has.

const phone = 2_065_550_100
const content = 'Cedar Valley Pantry: open today from 9 to 12.'

/** Returns a made-up event of a list, or of a transactional message. */
export function sampleEvent(
  type: ListEventType | CallbackType,
  { accountId, listId, timeZone, at }: { accountId: number; listId: number | null; timeZone: string; at: Date },
): RecordedEvent {
  const facts = factsOf(type, at.toISOString())
  const phoneOfEvent = type === 'message_sent' ? null : phone
  return {
    ...{ id: 0, accountId, listId, type, phone: phoneOfEvent, occurredAt: at, callbackUrl: null },
    ...{ timeZone, facts },
  }
}

function factsOf(type: ListEventType | CallbackType, at: string): Record<string, unknown> {
  const lastOptIn = { method: 'keyword', keyword: 'CEDAR' }
  switch (type) {
    case 'subscribe':
    case 'unsubscribe':
      return { optId: 0, subscriber: subscriber(at), lastOptIn, messagesReceived: 7 }
    case 'cleaned':
      return {
        optId: 0,
        subscriber: { ...subscriber(at), cleaned_at: at, clean_reason: 'hard_bounce', last_message_id: 0 },
        ...{ lastOptIn, messagesReceived: 7 },
      }
    case 'campaign_response':
      return {
        ...{ messageId: 0, sentAt: at, content, receivedAt: at, reply: 'Thank you!' },
        ...{ optId: 0, subscriber: subscriber(at), lastOptIn },
      }
    case 'transactional_message_status':
      return { messageId: 0, status: 'delivered' }
    case 'transactional_message_reply':
      return { messageId: 0, receivedAt: at, reply: 'Thank you!', carrier: 383, carrierName: 'AT&T' }
    case 'message_sent':
      return {
        ...{ id: 0, name: 'Opening hours', sentAt: at, content },
        ...{ delivered: 97, bounced: 2, pending: 1, cleaned: 1, unsubscribed: 1, cost: 0.79 },
      }
  }
}

const subscriber = (at: string) => ({
  id: 0,
  phone,
  first_name: 'Marisol',
  last_name: 'Vega',
  email: 'marisol@cedar.example',
  zip_code: '98101',
  birthdate: '19900412',
  gender: 'Female',
  tags: ['volunteer'],
  custom_fields: {},
  carrier: 383,
  carrier_name: 'AT&T',
  subscribed_at: at,
  cleaned_at: null,
  clean_reason: null,
  last_message_id: null,
})
