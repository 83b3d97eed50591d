import { type Static, Type } from 'typebox'
import { pageSchema } from '../http/pagination.ts'
import { formatTime, TextOrNull, Time } from '../http/schema.ts'
import type { Orphan } from './orphans.queries.ts'

const OrphanSchema = Type.Object(
  {
    id: Type.Integer(),
    message_id: Type.String({ description: "The SMSC's id, as we compare it; empty where the receipt named none." }),
    phone_number: TextOrNull({ description: 'The handset; null where the receipt named no number.' }),
    shortcode: Type.String(),
    meaning: Type.Unsafe<string>({
      type: 'string',
      enum: ['delivered', 'soft', 'hard', 'blocked', 'opted_out'],
      description: 'What it would have meant.',
    }),
    carrier_status: Type.String({ description: 'State and error as the carrier wrote them.' }),
    user_message_reference: Type.Unsafe<number | null>({
      type: ['integer', 'null'],
      description: 'Our reference, where the carrier echoed one.',
    }),
    submit_date: TextOrNull({ description: 'As the carrier wrote it.' }),
    received_at: Time,
  },
  { title: 'OrphanReceipt' },
)

export const OrphanPage = pageSchema('orphan_receipts', OrphanSchema)

/** An orphan on the wire. */
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
