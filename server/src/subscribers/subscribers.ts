import type { ValueRules } from '../custom-fields/values.ts'
import { BatchedRead } from '../db/batched-read.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import type { Page, PageOf } from '../lib/paging.ts'
import { getList } from '../lists/lists.ts'
import { parsePhoneNumber } from '../sms/phone-number.ts'
import { listPhones, listPhonesAfter, type PagedState } from './phone-pages.queries.ts'
import {
  findDetailsWithoutLog,
  findSubscriberDetails,
  findSubscriberOnList,
  type Profile,
  type SubscriberDetail,
  type SubscriberKey,
  updateProfile,
} from './subscribers.queries.ts'
import type { Subscriber } from './subscribers.sql.ts'

/** Returns the phone number in a path; throws `subscriber_not_found` if it is malformed. */
export function phoneOfPath(text: string): number {
  const phone = parsePhoneNumber(text)
  if (phone === undefined) throw errors.subscriberNotFound()
  return phone
}

/**
 * Returns the subscriber with this number on the account's list, in any state; throws if there is no such list or
 * subscriber.
 */
export async function getSubscriber(db: Db, accountId: number, listId: number, phone: string): Promise<Subscriber> {
  const number = parsePhoneNumber(phone)
  const found = number === undefined ? undefined : await findSubscriberOnList(db, accountId, listId, number)
  if (found && found.phone !== null) return found
  // the list is checked first: an unknown list is the error for every number
  await getList(db, accountId, listId)
  throw errors.subscriberNotFound()
}

/** Time for which a list that had an open broadcast is expected to have one. */
const openListsMs = 1_000

type FoundDetail = SubscriberDetail | { phone: null } | undefined

/**
 * Returns a function that reads the subscriber of a number on the account's list, in any state, with the number of
 * broadcasts received. It throws as `getSubscriber` does.
 */
export function subscriberReader(db: Db) {
  const openLists = new Set<number>()
  let clearAt = 0
  const details = new BatchedRead<SubscriberKey, FoundDetail>(async (keys) => {
    const found: FoundDetail[] = keys.map(() => undefined)
    if (performance.now() >= clearAt) {
      openLists.clear()
      clearAt = performance.now() + openListsMs
    }
    const hasOpen = () => keys.some(({ listId }) => openLists.has(listId))
    if (!hasOpen()) {
      for (const row of await findDetailsWithoutLog(db, keys)) {
        if (row.phone !== null && row.messagesReceived === null) openLists.add(row.listId)
        else found[row.index - 1] = row
      }
    }
    if (hasOpen()) for (const row of await findSubscriberDetails(db, keys)) found[row.index - 1] = row
    return found
  })
  return async (accountId: number, listId: number, phone: string): Promise<SubscriberDetail> => {
    const found = await details.read({ accountId, listId, phone: parsePhoneNumber(phone) ?? null })
    // the same error for every number: a caller without the list must not learn whether a number is valid
    if (found === undefined) throw errors.listNotFound()
    if (found.phone === null) throw errors.subscriberNotFound()
    return found
  }
}

/** Changes the profile as `read` returns it for the list's custom fields; adds tags, and does not change consent. */
export async function changeProfile(
  db: Db,
  accountId: number,
  listId: number,
  phone: string,
  read: (fields: ValueRules[]) => Promise<Profile>,
  at: Date,
): Promise<Subscriber> {
  const subscriber = await getSubscriber(db, accountId, listId, phone)
  await updateProfile(db, listId, subscriber.phone, await read(subscriber.customFields), at)
  return getSubscriber(db, accountId, listId, phone)
}

/**
 * Returns a page of the numbers of the account's list in this state, in ascending order; throws if there is no such
 * list.
 */
export async function getPhonePage(
  db: Db,
  accountId: number,
  listId: number,
  state: PagedState,
  page: Page,
): Promise<PageOf<string>> {
  const found = await listPhones(db, accountId, listId, state, page)
  if (!found) throw errors.listNotFound()
  return { count: found.count, records: found.phones }
}

/**
 * Returns the numbers of the account's list in this state that follow `after`, with the count of all of them, and the
 * number after which the next page starts, null at the end. Unlike pages, it misses no number that keeps its state while
 * others leave. Throws if there is no such list.
 */
export async function getPhonesAfter(
  db: Db,
  accountId: number,
  listId: number,
  state: PagedState,
  given: { after: number; perPage: number },
): Promise<PageOf<string> & { next: string | null }> {
  const counted = await listPhones(db, accountId, listId, state, { offset: 0, perPage: 0 })
  if (!counted) throw errors.listNotFound()
  const records = await listPhonesAfter(db, listId, state, given.after, given.perPage)
  return { count: counted.count, records, next: records.length < given.perPage ? null : (records.at(-1) ?? null) }
}
