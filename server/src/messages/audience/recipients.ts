import type { Db } from '../../db/db.ts'
import { errors } from '../../errors.ts'
import { formatPhoneNumber, parsePhoneNumber } from '../../sms/phone-number.ts'
import { listOptedOut } from './recipients.queries.ts'

/** The maximum number of phone numbers in one message. */
export const maxPhones = 1_000

/**
 * Returns the phone numbers of a body without duplicates; throws if one is malformed. `field` is their name in the
 * error.
 */
export function readPhones(given: unknown[], field: string): number[] {
  const phones = new Set<number>()
  for (const text of given) {
    const phone = parsePhoneNumber(text)
    if (phone === undefined) throw errors.invalid({ [field]: ['must be ten digits'] })
    phones.add(phone)
  }
  if (phones.size === 0) throw errors.invalid({ [field]: ["can't be blank"] })
  if (phones.size > maxPhones) throw errors.invalid({ [field]: [`has too many items (maximum is ${maxPhones})`] })
  return [...phones]
}

/** Throws if a number has opted out of the list, or has sent STOP to the short code and not opted in since. */
export async function rejectOptedOut(
  db: Db,
  {
    listId,
    shortCodeId,
    phones,
    field,
  }: { listId: number | null; shortCodeId: number; phones: number[]; field: string },
): Promise<void> {
  const optedOut = await listOptedOut(db, listId, shortCodeId, phones)
  if (optedOut.length > 0) throw errors.optedOut(field, optedOut.map(formatPhoneNumber))
}
