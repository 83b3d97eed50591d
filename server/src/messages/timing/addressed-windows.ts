import type { Db } from '../../db/db.ts'
import { errors } from '../../errors.ts'
import { findSwitches } from '../../quiet-hours/quiet-hours.queries.ts'
import { loadQuietHours } from '../../quiet-hours/quiet-hours.ts'
import { findWindow, type SendingWindow, type WindowRules } from '../../quiet-hours/windows.ts'
import { formatPhoneNumber } from '../../sms/phone-number.ts'
import type { AddressedChunk } from '../accept.queries.ts'
import { listKnown } from '../audience/recipients.queries.ts'

type Addressed = { accountId: number; listId: number | null; phones: number[]; field: string }

/** The order in which numbers are written, as their places in `phones`, and the chunks that they are cut into. */
export type Layout = { order: number[]; chunks: AddressedChunk[] }

/**
 * How texts to given numbers are laid out where the account wants those to keep to quiet hours: each chunk is of one place,
 * and waits for its window. Undefined where they go out at once. A number that hours leave no window is refused.
 */
export async function layOutAddressed(tx: Db, given: Addressed, now: Date): Promise<Layout | undefined> {
  const { transactional } = await findSwitches(tx, given.accountId)
  if (!transactional) return undefined
  const quietHours = await loadQuietHours(tx, given.accountId)
  const rules: WindowRules = { quietHours, alsoWithin: [], localAt: null }
  const { listId, phones, field } = given
  const people = listId === null ? phones.map((phone) => ({ phone })) : await listKnown(tx, listId, phones, [])
  const byLocation = new Map<string, { window: SendingWindow; indexes: number[] }>()
  people.forEach((person, n) => {
    const window = findWindow(person, rules, now)
    if (!window) throw errors.invalid({ [field]: [`may be texted at no hour: ${formatPhoneNumber(person.phone)}`] })
    const group = byLocation.get(window.location)
    if (group) group.indexes.push(n)
    else byLocation.set(window.location, { window, indexes: [n] })
  })
  const order: number[] = []
  const chunks = [...byLocation.values()].map(({ window, indexes }) => {
    const first = order.length
    order.push(...indexes)
    return {
      first,
      last: order.length - 1,
      dueAt: window.opensAt,
      closesAt: window.closesAt,
      location: window.location,
    }
  })
  return { order, chunks }
}
