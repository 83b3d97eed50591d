/**
 * The events for which a webhook can be called, with their descriptions. The key is the flag in the API and the boolean
 * column of the table `webhooks`. To add an event, follow "A new webhook event" in CONTRIBUTING.md.
 */
export const webhookEvents = {
  subscribe: 'A number has subscribed.',
  unsubscribe: 'A subscriber has opted out.',
  message_sent: 'A broadcast has been sent.',
  cleaned: 'A dead number was removed from the list.',
  reply_received: 'A subscriber has replied.',
} as const

export type WebhookEvent = keyof typeof webhookEvents

export const webhookEventNames = Object.keys(webhookEvents) as WebhookEvent[]

/** Returns a record with a value for each event. */
export function forEachEvent<T>(toValue: (event: WebhookEvent) => T): Record<WebhookEvent, T> {
  return Object.fromEntries(webhookEventNames.map((event) => [event, toValue(event)])) as Record<WebhookEvent, T>
}
