import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { getList } from '../lists/lists.ts'
import { parsePhoneNumber } from '../sms/phone-number.ts'
import { findSubscriber, type Profile, type Subscriber, updateProfile } from './subscribers.queries.ts'

/** The number that a path names; one that cannot be a number is nobody's. */
export function phoneOfPath(text: string): number {
  const phone = parsePhoneNumber(text)
  if (phone === undefined) throw errors.subscriberNotFound()
  return phone
}

/** The subscriber of this number on the account's list, in whatever state. */
export async function getSubscriber(db: Db, accountId: number, listId: number, phone: string): Promise<Subscriber> {
  const list = await getList(db, accountId, listId)
  const subscriber = await findSubscriber(db, list.id, phoneOfPath(phone))
  if (!subscriber) throw errors.subscriberNotFound()
  return subscriber
}

/** Changes the profile fields that are given, adds the tags, and touches no consent. */
export async function changeProfile(
  db: Db,
  accountId: number,
  listId: number,
  phone: string,
  profile: Profile,
): Promise<Subscriber> {
  const subscriber = await getSubscriber(db, accountId, listId, phone)
  await updateProfile(db, listId, subscriber.phone, profile)
  return getSubscriber(db, accountId, listId, phone)
}
