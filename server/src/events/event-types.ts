/**
 * The types of events of a list. `bit` is the type's bit in `lists.listeners` and in the function `record_consent_events`; `flag` is the
 * key of a webhook that receives the type.
 */
export const listEvents = {
  subscribe: { bit: 1, flag: 'subscribe' },
  unsubscribe: { bit: 2, flag: 'unsubscribe' },
  message_sent: { bit: 4, flag: 'message_sent' },
  cleaned: { bit: 8, flag: 'cleaned' },
  campaign_response: { bit: 16, flag: 'reply_received' },
} as const

export type ListEventType = keyof typeof listEvents

export const listEventTypes = Object.keys(listEvents) as ListEventType[]

/** The types of the callbacks of a transactional message. */
export const callbackTypes = ['transactional_message_status', 'transactional_message_reply'] as const

export type CallbackType = (typeof callbackTypes)[number]

/** The type of the callback of a report of the message log. */
export const reportTypes = ['momt_report'] as const

/** The types of events about webhooks, which only the feed has. */
export const noticeTypes = ['webhook_disabled'] as const

export type EventType =
  | ListEventType
  | (typeof callbackTypes)[number]
  | (typeof reportTypes)[number]
  | (typeof noticeTypes)[number]

export const eventTypes: readonly EventType[] = [...listEventTypes, ...callbackTypes, ...reportTypes, ...noticeTypes]

/** An event as its transaction inserted it; `facts` has the values of that moment. */
export type RecordedEvent = {
  id: number
  accountId: number
  listId: number | null
  type: EventType
  phone: number | null
  occurredAt: Date
  /** Receives the event, if it is about a transactional message. */
  callbackUrl: string | null
  timeZone: string
  facts: Record<string, unknown>
}

/** An event with its position in the feed; the payload is JSON. */
export type NumberedEvent = Pick<
  RecordedEvent,
  'accountId' | 'listId' | 'type' | 'phone' | 'occurredAt' | 'callbackUrl'
> & {
  position: number
  payload: string
}
