import { type Static, Type } from 'typebox'
import { errors } from '../../errors.ts'
import { Id, TextOrNull, Time, Whole, WholeOrNull } from '../../http/schema.ts'
import { formatTime } from '../../lib/format-time.ts'
import { formatPhoneNumber, parsePhoneNumber } from '../../sms/phone-number.ts'
import type { WaitingDelivery, WaitingFilter } from './waiting.queries.ts'

const maxPageSize = 1_000
const maxPosition = Number.MAX_SAFE_INTEGER

export const WaitingQuery = Type.Object({
  after: Type.Optional(Whole(0, maxPosition, 'The `next_after` of the page before.')),
  phone_number: Type.Optional(Type.String({ maxLength: 100, description: 'Only events of this phone.' })),
  limit: Type.Optional(Whole(1, maxPageSize, 'Maximum number of deliveries; 100 by default.')),
})

/** Returns the filter and limit of a query; throws a 422 for a malformed phone. */
export function readWaitingQuery(
  { after = 0, phone_number, limit = 100 }: Static<typeof WaitingQuery>,
  webhookId: number,
): { filter: WaitingFilter; limit: number } {
  const phone = phone_number === undefined ? null : parsePhoneNumber(phone_number)
  if (phone === undefined) throw errors.invalid({ phone_number: ['is not a phone number'] })
  return { filter: { webhookId, phone, after }, limit }
}

export const WaitingPage = Type.Object({
  status: Type.Literal('OK'),
  deliveries: Type.Array(
    Type.Object(
      {
        position: Id('Position of the event.'),
        type: Type.String({ description: 'Type of the event.' }),
        phone_number: TextOrNull({ description: 'The phone of the event, if it has one.' }),
        is_test: Type.Boolean({ description: 'Whether the event is a test of the webhook.' }),
        occurred_at: Time,
        attempts: Whole(0, 32_767, 'Attempts that were made.'),
        due_at: Type.Unsafe<string>({
          ...Time,
          description: 'When the next attempt is due; events of one phone are delivered in their order.',
        }),
        after_dead_letter: Type.Boolean({
          description: 'Whether an earlier event of the phone was given up, and none was received since.',
        }),
      },
      { title: 'WaitingDelivery' },
    ),
  ),
  next_after: WholeOrNull(1, maxPosition, 'The value of `after` for the next page; null at the end.'),
})

export function presentWaitingPage(
  deliveries: WaitingDelivery[],
  limit: number,
  timeZone: string,
): Static<typeof WaitingPage> {
  return {
    status: 'OK',
    deliveries: deliveries.map((delivery) => ({
      position: delivery.position,
      type: delivery.type,
      phone_number: delivery.phone === null ? null : formatPhoneNumber(delivery.phone),
      is_test: delivery.isTest,
      occurred_at: formatTime(delivery.occurredAt, timeZone),
      attempts: delivery.attempts,
      due_at: formatTime(delivery.dueAt, timeZone),
      after_dead_letter: delivery.afterDeadLetter,
    })),
    next_after: deliveries.length === limit ? (deliveries.at(-1)?.position ?? null) : null,
  }
}
