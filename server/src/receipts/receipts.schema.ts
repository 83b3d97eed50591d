import { type Static, Type } from 'typebox'
import { pageSchema } from '../http/pagination.ts'
import { Id, TextOrNull, Time, WholeOrNull } from '../http/schema.ts'
import { formatTime } from '../lib/format-time.ts'
import type { Orphan } from './orphans.queries.ts'

const OrphanSchema = Type.Object(
  {
    id: Id('Id of the receipt.'),
    message_id: Type.String({ description: "The SMSC's id in normalized form; empty if the receipt had none." }),
    phone_number: TextOrNull({ description: "The recipient's phone number; null if the receipt had none." }),
    shortcode: Type.String(),
    meaning: Type.Unsafe<string>({
      type: 'string',
      enum: ['delivered', 'soft', 'hard', 'blocked', 'opted_out', 'unknown'],
      description:
        'The delivery status that the text would have got; `unknown` if the receipt has no state or one that is not known.',
    }),
    carrier_status: Type.String({ description: 'State and error code as in the receipt; empty if it has no state.' }),
    excerpt: TextOrNull({
      description: 'The first words of the text, if the receipt has them; of a receipt without a state, its own text.',
    }),
    user_message_reference: WholeOrNull(0, 65_535, 'Our reference; null if the carrier did not echo it.'),
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
    meaning: meaningOf(orphan),
    carrier_status: orphan.carrierStatus,
    user_message_reference: orphan.reference,
    submit_date: orphan.submitDate,
    excerpt: orphan.excerpt,
    received_at: formatTime(orphan.receivedAt, timeZone),
  }
}

function meaningOf({ state, reason }: Orphan): string {
  if (state === null) return 'unknown'
  return state === 'delivered' ? 'delivered' : (reason ?? 'soft')
}
