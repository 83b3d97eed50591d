import type { Db } from '../db/db.ts'
import type { PageBounds } from '../lib/paging.ts'

export type Gift = {
  /** Decimal, with up to two places. */
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

/** The subscriber who gave, or the message that brought the gift in. */
export type DonationSource = { phone: number; messageId?: undefined } | { phone?: undefined; messageId: number }

const donationColumns = /* sql */ `
  id, phone, amount::text as amount, donated_at as "donatedAt", donation_platform as "donationPlatform",
  donation_platform_uid as "donationPlatformUid", utm_campaign as "utmCampaign", utm_medium as "utmMedium",
  utm_source as "utmSource", utm_term as "utmTerm", utm_content as "utmContent", refcodes`

/** A page of the list's donations, or of one number's there, newest first. */
export function listDonations(db: Db, listId: number, phone: number | null, page: PageBounds) {
  const [name, whose] = phone === null ? ['list_donations', ''] : ['list_donations_of_phone', 'and phone = $4']
  return db.many<Donation>(
    name,
    /* sql */ `
    select ${donationColumns} from donations where list_id = $1 ${whose} order by id desc offset $2 limit $3`,
    [listId, page.offset, page.perPage, ...(phone === null ? [] : [phone])],
  )
}

/** The number of donations on those pages. An index-only scan counts them. */
export async function countDonations(db: Db, listId: number, phone: number | null): Promise<number> {
  const [name, whose] = phone === null ? ['count_donations', ''] : ['count_donations_of_phone', 'and phone = $2']
  const { n } = await db.one<{ n: number }>(
    name,
    /* sql */ `select count(*) as n from donations where list_id = $1 ${whose}`,
    phone === null ? [listId] : [listId, phone],
  )
  return n
}

/** Writes a gift and returns it; violates `donations_platform_uid` when it is booked already. */
export function insertDonation(db: Db, listId: number, source: DonationSource, gift: Gift, now: Date) {
  return db.one<Donation>(
    'insert_donation',
    /* sql */ `
    insert into donations (list_id, phone, message_id, amount, donated_at, donation_platform, donation_platform_uid,
                           utm_campaign, utm_medium, utm_source, utm_term, utm_content, refcodes, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
    returning ${donationColumns}`,
    [
      listId,
      source.phone ?? null,
      source.messageId ?? null,
      gift.amount,
      gift.donatedAt,
      gift.donationPlatform,
      gift.donationPlatformUid,
      gift.utmCampaign,
      gift.utmMedium,
      gift.utmSource,
      gift.utmTerm,
      gift.utmContent,
      gift.refcodes,
      now,
    ],
  )
}

/** Whether the list has such a message that went out, or began to; a draft brings nothing in and may be deleted. */
export async function isMessageOfList(db: Db, listId: number, messageId: number): Promise<boolean> {
  const row = await db.maybeOne(
    'is_message_of_list',
    /* sql */ `select from messages where id = $1 and list_id = $2 and kind = 'broadcast'
            and status in ('sending', 'sent', 'cancelled')`,
    [messageId, listId],
  )
  return row !== undefined
}
