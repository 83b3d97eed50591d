/**
 * The types of events of a list. `bit` is the type's bit in `lists.listeners` and in the function `report_opts`; `flag` is the
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

export type EventType = ListEventType | (typeof callbackTypes)[number]

export const eventTypes: readonly EventType[] = [...listEventTypes, ...callbackTypes]
