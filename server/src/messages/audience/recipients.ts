import type { Db } from '../../db/db.ts'
import { errors } from '../../errors.ts'
import { formatPhoneNumber, parsePhoneNumber } from '../../sms/phone-number.ts'
import { listOptedOut } from './recipients.queries.ts'

/** Numbers that one message may name. */
export const maxPhones = 1_000

/** The numbers that a caller has written, each once; `field` is what to call them in a refusal. */
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

/** Refuses numbers that have left the list, or sent STOP to the short code and not opted in since. */
export async function refuseOptedOut(
  db: Db,
  {
    listId,
    shortCodeId,
    phones,
    field,
  }: { listId: number | null; shortCodeId: number; phones: number[]; field: string },
): Promise<void> {
  const out = await listOptedOut(db, listId, shortCodeId, phones)
  if (out.length > 0) throw errors.optedOut(field, out.map(formatPhoneNumber))
}
