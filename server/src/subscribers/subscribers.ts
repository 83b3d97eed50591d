import type { ValueRules } from '../custom-fields/values.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { getList } from '../lists/lists.ts'
import { parsePhoneNumber } from '../sms/phone-number.ts'
import { findSubscriberOnList, type Profile, type Subscriber, updateProfile } from './subscribers.queries.ts'

/** The number that a path names; one that cannot be a number is nobody's. */
export function phoneOfPath(text: string): number {
  const phone = parsePhoneNumber(text)
  if (phone === undefined) throw errors.subscriberNotFound()
  return phone
}

/** The subscriber of this number on the account's list, in whatever state. */
export async function getSubscriber(db: Db, accountId: number, listId: number, phone: string): Promise<Subscriber> {
  const number = parsePhoneNumber(phone)
  const found = number === undefined ? undefined : await findSubscriberOnList(db, accountId, listId, number)
  if (found && found.phone !== null) return found
  // whose list it is comes first: a stranger does not learn what a number looks like
  await getList(db, accountId, listId)
  throw errors.subscriberNotFound()
}

/** Changes the profile fields that `read` finds, given the list's custom fields; adds tags and touches no consent. */
export async function changeProfile(
  db: Db,
  accountId: number,
  listId: number,
  phone: string,
  read: (fields: ValueRules[]) => Profile,
): Promise<Subscriber> {
  const subscriber = await getSubscriber(db, accountId, listId, phone)
  await updateProfile(db, listId, subscriber.phone, read(subscriber.customFields))
  return getSubscriber(db, accountId, listId, phone)
}
