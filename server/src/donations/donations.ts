import { findByKeys } from '../db/by-keys.ts'
import type { Db } from '../db/db.ts'
import { violates } from '../db/pg-errors.ts'
import { errors } from '../errors.ts'
import { type Page, type PageOf, pageOf } from '../lib/paging.ts'
import { getList } from '../lists/lists.ts'
import type { Runtime } from '../runtime.ts'
import { findSubscriberState } from '../subscribers/subscribers.queries.ts'
import { phoneOfPath } from '../subscribers/subscribers.ts'
import {
  countDonations,
  type Donation,
  type DonationSource,
  findBroadcast,
  type Gift,
  insertDonation,
  type LinkTotal,
  listDonations,
  listMessageDonations,
  totalMessageDonations,
} from './donations.queries.ts'

type Rt = Pick<Runtime, 'db' | 'clock'>

/** Returns a page of the donations of the account's list, newest first; throws if there is no such list. */
export async function getDonationPage(
  db: Db,
  accountId: number,
  listId: number,
  page: Page,
): Promise<PageOf<Donation>> {
  await getList(db, accountId, listId)
  return pageOf(countDonations(db, listId, null), listDonations(db, listId, null, page))
}

/** Returns a page of one subscriber's donations, newest first; throws if there is no such list or subscriber. */
export async function getSubscriberDonationPage(
  db: Db,
  accountId: number,
  listId: number,
  phoneNumber: string,
  page: Page,
): Promise<PageOf<Donation>> {
  const phone = await getDonor(db, accountId, listId, phoneNumber)
  return pageOf(countDonations(db, listId, phone), listDonations(db, listId, phone, page))
}

/**
 * Returns a page of the donations that are attributed to a message, newest first, and the totals by its links; throws if there is no such
 * list or message.
 */
export async function getMessageDonationPage(
  db: Db,
  accountId: number,
  listId: number,
  messageId: number,
  page: Page,
): Promise<PageOf<Donation> & { totals: LinkTotal[] }> {
  await getList(db, accountId, listId)
  if (!(await findBroadcast(db, listId, messageId))) throw errors.messageNotFound()
  return db.tx(async (tx) => {
    await findByKeys(tx)
    const totals = await totalMessageDonations(tx, messageId)
    const count = totals.reduce((sum, total) => sum + total.count, 0)
    return { count, records: page.offset < count ? await listMessageDonations(tx, messageId, page) : [], totals }
  })
}

/**
 * Records a gift of a subscriber in any state; throws if there is no such list or subscriber, or the gift is already
 * recorded.
 */
export async function createSubscriberDonation(
  rt: Rt,
  accountId: number,
  listId: number,
  phoneNumber: string,
  gift: Gift,
): Promise<Donation> {
  const phone = await getDonor(rt.db, accountId, listId, phoneNumber)
  return recordGift(rt, listId, { phone }, gift)
}

/**
 * Records a gift that a message prompted; throws if there is no such list or message, or the gift is already recorded.
 */
export async function createMessageDonation(
  rt: Rt,
  accountId: number,
  listId: number,
  messageId: number,
  gift: Gift,
): Promise<Donation> {
  await getList(rt.db, accountId, listId)
  if (!(await findBroadcast(rt.db, listId, messageId))?.hasStarted) throw errors.messageNotFound()
  return recordGift(rt, listId, { messageId }, gift)
}

/** Records a gift once per list: throws if the list has a donation with this id of the donation platform. */
async function recordGift(rt: Rt, listId: number, source: DonationSource, gift: Gift): Promise<Donation> {
  try {
    return await rt.db.tx((tx) => insertDonation(tx, listId, source, gift, rt.clock.now()))
  } catch (error) {
    if (!violates(error, 'donations_platform_uid')) throw error
    throw errors.invalid({ donation_platform_uid: ['has already been taken'] })
  }
}

/** Returns the number of a current or former subscriber of the account's list. */
async function getDonor(db: Db, accountId: number, listId: number, phoneNumber: string): Promise<number> {
  await getList(db, accountId, listId)
  const phone = phoneOfPath(phoneNumber)
  if (!(await findSubscriberState(db, listId, phone))) throw errors.subscriberNotFound()
  return phone
}
