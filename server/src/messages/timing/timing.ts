import type { Db } from '../../db/db.ts'
import { errors } from '../../errors.ts'
import { firstOccurrence, localDateTime } from '../../quiet-hours/local-time.ts'
import { findAccountTimeZone, type Timing, writeTiming } from './timing.queries.ts'

export const atAnyTime: Timing = { localTime: false, deliverBy: null, quietHours: false, sendHours: null }

/** What of it is refused at this moment, for a message that is planned for `sendAt`, or for now. */
export function refuseTiming(timing: Timing, sendAt: Date | null, now: Date): void {
  const { deliverBy } = timing
  if (deliverBy && deliverBy <= now) throw errors.invalid({ 'message.deliver_by': ['must be in the future'] })
  if (deliverBy && sendAt && deliverBy <= sendAt) {
    throw errors.invalid({ 'message.deliver_by': ['must be later than send_at'] })
  }
}

/**
 * Keeps the timing of a message that the transaction has just written. With a local time it begins when it is that time
 * in the first zone; `sendAt` is the time by the account's clock.
 */
export async function keepTiming(
  tx: Db,
  message: { id: number; accountId: number },
  timing: Timing,
  sendAt: Date | null,
  now: Date,
): Promise<void> {
  const isLocal = timing.localTime && sendAt !== null
  const localAt = isLocal ? localDateTime(sendAt, await findAccountTimeZone(tx, message.accountId)) : null
  const first = localAt !== null && sendAt ? firstOccurrence(localAt, sendAt) : sendAt
  // whoever is subscribed when it begins is its audience, and it cannot have begun already
  const startsAt = isLocal && first && first < now ? now : first
  await writeTiming(tx, message.id, { ...timing, localAt, startsAt })
}
