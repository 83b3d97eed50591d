import type { Db } from '../../db/db.ts'
import { errors } from '../../errors.ts'
import type { AddressedChunk } from '../../log/recipients.sql.ts'
import { findSwitches } from '../../quiet-hours/quiet-hours.queries.ts'
import { loadQuietHours } from '../../quiet-hours/quiet-hours.ts'
import { findWindow, type SendingWindow, type WindowRules } from '../../quiet-hours/windows.ts'
import { formatPhoneNumber } from '../../sms/phone-number.ts'
import { listProfiles } from '../audience/recipients.queries.ts'

type Addressed = { accountId: number; listId: number | null; phones: number[]; field: string }

/** The order in which numbers are written, as indexes into `phones`, and the chunks that they are divided into. */
export type Layout = { order: number[]; chunks: AddressedChunk[] }

/**
 * Returns the chunks of a transactional message if the account applies quiet hours to such messages: one chunk per
 * location, due when its window opens. Returns undefined if the texts are sent immediately. Throws if a number has no
 * window.
 */
export async function groupByLocation(tx: Db, given: Addressed, now: Date): Promise<Layout | undefined> {
  const { transactional } = await findSwitches(tx, given.accountId)
  if (!transactional) return undefined
  const quietHours = await loadQuietHours(tx, given.accountId)
  const rules: WindowRules = { quietHours, alsoWithin: [], localAt: null }
  const { listId, phones, field } = given
  const people = listId === null ? phones.map((phone) => ({ phone })) : await listProfiles(tx, listId, phones, [])
  const byLocation = new Map<string, { window: SendingWindow; indexes: number[] }>()
  people.forEach((person, n) => {
    const window = findWindow(person, rules, now)
    if (!window) throw errors.invalid({ [field]: [`cannot be texted at any hour: ${formatPhoneNumber(person.phone)}`] })
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
