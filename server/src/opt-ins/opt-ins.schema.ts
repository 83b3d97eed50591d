import { Type } from 'typebox'
import { Flag } from '../http/schema.ts'
import { profileKeys } from '../subscribers/profile.schema.ts'
import { PhoneInput, SubscriberSchema } from '../subscribers/subscribers.schema.ts'
import type { AddResult } from './subscribe.ts'

export const SubscriberAddBody = Type.Object({
  subscriber: Type.Object(
    {
      phone_number: PhoneInput,
      ...profileKeys,
      bypass_opt_in_process: Type.Optional(Flag('Whether to subscribe the number without double opt-in.')),
      bypass_opt_in_response: Type.Optional(Flag('Whether to send no welcome text.')),
    },
    { title: 'SubscriberCreation' },
  ),
})

export const SubscriberAddedResponse = Type.Object(
  {
    status: Type.String({
      description: 'The outcome, which the HTTP status does not show.',
      examples: ['Subscriber being added to campaign pending confirmation'],
    }),
    subscriber: SubscriberSchema,
  },
  { title: 'SubscriberAdded' },
)

export const UnsubscribedResponse = Type.Object({
  status: Type.Literal('successfully unsubscribed'),
  subscriber: SubscriberSchema,
})

const statuses: Record<Exclude<AddResult['outcome'], 'security_timeout'>, string> = {
  confirmation_sent: 'Subscriber being added to campaign pending confirmation',
  pending: 'Subscriber being added to campaign pending confirmation',
  already_asked: 'Subscriber has already been sent opt-in message for this campaign.',
  welcomed: 'Subscriber added',
  added: 'Subscriber has been added - no opt-in message was sent due to list settings.',
  already_subscribed: 'Subscriber is already subscribed to this campaign.',
}

/** Returns the sentence of the contract for the outcome of an add. */
export function addStatusOf(added: AddResult): string {
  if (added.outcome !== 'security_timeout') return statuses[added.outcome]
  const minutes = Math.ceil(added.waitMs / 60_000)
  return `Subscriber cannot be added: security timeout, wait ${Math.floor(minutes / 60)} hours and ${minutes % 60} minutes`
}
