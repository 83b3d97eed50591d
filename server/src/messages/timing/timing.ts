import type { Db } from '../../db/db.ts'
import { errors } from '../../errors.ts'
import { firstOccurrence, localDateTime } from '../../quiet-hours/local-time.ts'
import { findAccountTimeZone, type Timing, writeTiming } from './timing.queries.ts'

export const atAnyTime: Timing = { localTime: false, deliverBy: null, quietHours: false, sendHours: null }

/**
 * Throws if the deadline is in the past, or not later than the planned time; `sendAt` is null for a message that is
 * sent now.
 */
export function validateTiming(timing: Timing, sendAt: Date | null, now: Date): void {
  const { deliverBy } = timing
  if (deliverBy && deliverBy <= now) throw errors.invalid({ 'message.deliver_by': ['must be in the future'] })
  if (deliverBy && sendAt && deliverBy <= sendAt) {
    throw errors.invalid({ 'message.deliver_by': ['must be later than send_at'] })
  }
}

/**
 * Stores the timing of a message that the transaction has just written. A message with a local time starts when the
 * first time zone reaches that time; `sendAt` is the time by the account's clock.
 */
export async function storeTiming(
  tx: Db,
  message: { id: number; accountId: number },
  timing: Timing,
  sendAt: Date | null,
  now: Date,
): Promise<void> {
  const isLocal = timing.localTime && sendAt !== null
  const localAt = isLocal ? localDateTime(sendAt, await findAccountTimeZone(tx, message.accountId)) : null
  const first = localAt !== null && sendAt ? firstOccurrence(localAt, sendAt) : sendAt
  // the audience is the list's subscribers at the start, which therefore cannot be in the past
  const startsAt = isLocal && first && first < now ? now : first
  await writeTiming(tx, message.id, { ...timing, localAt, startsAt })
}
