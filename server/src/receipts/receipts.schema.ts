import { type Static, Type } from 'typebox'
import { pageSchema } from '../http/pagination.ts'
import { formatTime, TextOrNull, Time } from '../http/schema.ts'
import type { Orphan } from './orphans.queries.ts'

const OrphanSchema = Type.Object(
  {
    id: Type.Integer(),
    message_id: Type.String({ description: "The SMSC's id in normalized form; empty if the receipt had none." }),
    phone_number: TextOrNull({ description: "The recipient's phone number; null if the receipt had none." }),
    shortcode: Type.String(),
    meaning: Type.Unsafe<string>({
      type: 'string',
      enum: ['delivered', 'soft', 'hard', 'blocked', 'opted_out'],
      description: 'The delivery status that the text would have got.',
    }),
    carrier_status: Type.String({ description: 'State and error code as in the receipt.' }),
    user_message_reference: Type.Unsafe<number | null>({
      type: ['integer', 'null'],
      description: 'Our reference; null if the carrier did not echo it.',
    }),
    submit_date: TextOrNull({ description: 'As in the receipt.' }),
    received_at: Time,
  },
  { title: 'OrphanReceipt' },
)

export const OrphanPage = pageSchema('orphan_receipts', OrphanSchema)

/** Returns an orphan as in the response. */
export function presentOrphan(orphan: Orphan, timeZone: string): Static<typeof OrphanSchema> {
  return {
    id: orphan.id,
    message_id: orphan.smscId,
    phone_number: orphan.phone === null ? null : String(orphan.phone),
    shortcode: orphan.shortCode,
    meaning: orphan.state === 'delivered' ? 'delivered' : (orphan.reason ?? 'soft'),
    carrier_status: orphan.carrierStatus,
    user_message_reference: orphan.reference,
    submit_date: orphan.submitDate,
    received_at: formatTime(orphan.receivedAt, timeZone),
  }
}
