import type { Db } from '../db/db.ts'
import { violates } from '../db/pg-errors.ts'
import { errors } from '../errors.ts'
import { type Donation, type Gift, insertDonation, type Source } from './donations.queries.ts'

/** Books a gift on a list, once: the platform's own id of it tells whether it is there already. */
export async function bookDonation(db: Db, listId: number, source: Source, gift: Gift, now: Date): Promise<Donation> {
  try {
    return await db.tx((tx) => insertDonation(tx, listId, source, gift, now))
  } catch (error) {
    if (!violates(error, 'donations_platform_uid')) throw error
    throw errors.invalid({ donation_platform_uid: ['has already been taken'] })
  }
}
