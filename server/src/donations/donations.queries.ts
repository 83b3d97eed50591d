import type { Db } from '../db/db.ts'
import { columnsOf, raw, type Sql, sql, valuesOf } from '../db/sql.ts'
import type { PageBounds } from '../lib/paging.ts'

export type Gift = {
  /** Decimal, with up to two decimal digits. */
  amount: string
  donatedAt: Date
  donationPlatform: string
  donationPlatformUid: string
  utmCampaign: string | null
  utmMedium: string | null
  utmSource: string | null
  utmTerm: string | null
  utmContent: string | null
  refcodes: string[]
}

export type Donation = Gift & { id: number; phone: number | null }

/** The subscriber who gave, or the message that prompted the gift. */
export type DonationSource = { phone: number; messageId?: undefined } | { phone?: undefined; messageId: number }

const donationColumns = /* sql */ `
  id, phone, amount::text as amount, donated_at as "donatedAt", donation_platform as "donationPlatform",
  donation_platform_uid as "donationPlatformUid", utm_campaign as "utmCampaign", utm_medium as "utmMedium",
  utm_source as "utmSource", utm_term as "utmTerm", utm_content as "utmContent", refcodes`

/** Returns a page of the list's donations, or with a phone of that subscriber's donations, newest first. */
export function listDonations(db: Db, listId: number, phone: number | null, page: PageBounds) {
  return db.many<Donation>(
    phone === null ? 'list_donations' : 'list_donations_of_phone',
    sql`select ${raw(donationColumns)} from donations
         where ${filterOf(listId, phone)} order by id desc offset ${page.offset} limit ${page.perPage}`,
  )
}

/** Returns the number of donations on all pages of `listDonations`, by an index-only scan. */
export async function countDonations(db: Db, listId: number, phone: number | null): Promise<number> {
  const { n } = await db.one<{ n: number }>(
    phone === null ? 'count_donations' : 'count_donations_of_phone',
    sql`select count(*) as n from donations where ${filterOf(listId, phone)}`,
  )
  return n
}

function filterOf(listId: number, phone: number | null): Sql {
  return phone === null ? sql`list_id = ${listId}` : sql`list_id = ${listId} and phone = ${phone}`
}

/** Inserts a gift and returns it; violates `donations_platform_uid` if it is already recorded. */
export function insertDonation(db: Db, listId: number, source: DonationSource, gift: Gift, now: Date) {
  const row = {
    list_id: listId,
    phone: source.phone ?? null,
    message_id: source.messageId ?? null,
    amount: gift.amount,
    donated_at: gift.donatedAt,
    donation_platform: gift.donationPlatform,
    donation_platform_uid: gift.donationPlatformUid,
    utm_campaign: gift.utmCampaign,
    utm_medium: gift.utmMedium,
    utm_source: gift.utmSource,
    utm_term: gift.utmTerm,
    utm_content: gift.utmContent,
    refcodes: gift.refcodes,
    created_at: now,
  }
  return db.one<Donation>(
    'insert_donation',
    sql`insert into donations (${columnsOf(row)}) values (${valuesOf(row)}) returning ${raw(donationColumns)}`,
  )
}

/**
 * Returns whether the list has this broadcast and has started sending it; a draft prompts no gift and may be deleted.
 */
export async function isMessageOfList(db: Db, listId: number, messageId: number): Promise<boolean> {
  const row = await db.maybeOne(
    'is_message_of_list',
    /* sql */ `select from messages where id = $1 and list_id = $2 and kind = 'broadcast'
            and status in ('sending', 'sent', 'cancelled')`,
    [messageId, listId],
  )
  return row !== undefined
}
