import type { Db } from '../db/db.ts'
import { columnsOf, param, type Sql, sql, valuesOf } from '../db/sql.ts'
import type { PageBounds } from '../lib/paging.ts'
import { attributedTo, attributionOf, namedLinkOf } from './attribution.sql.ts'

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

/** A gift, and the message that it is attributed to with the link of its code, if any. */
export type Donation = Gift & { id: number; phone: number | null; messageId: number | null; link: string | null }

/** The subscriber who gave, or the message that prompted the gift. */
export type DonationSource = { phone: number; messageId?: undefined } | { phone?: undefined; messageId: number }

const donationColumns = sql`
  d.id, d.phone, d.amount::text as amount, d.donated_at as "donatedAt", d.donation_platform as "donationPlatform",
  d.donation_platform_uid as "donationPlatformUid", d.utm_campaign as "utmCampaign", d.utm_medium as "utmMedium",
  d.utm_source as "utmSource", d.utm_term as "utmTerm", d.utm_content as "utmContent", d.refcodes`

/** Returns a page of the list's donations, or with a phone of that subscriber's donations, newest first. */
export function listDonations(db: Db, listId: number, phone: number | null, page: PageBounds) {
  return db.many<Donation>(
    phone === null ? 'list_donations' : 'list_donations_of_phone',
    sql`
    select ${donationColumns}, coalesce(d.message_id, a.message_id) as "messageId", coalesce(a.link, ${namedLinkOf}) as link
      from (select * from donations where ${filterOf(listId, phone)}
             order by id desc offset ${page.offset} limit ${page.perPage}) d
      left join ${attributionOf} a on true
     order by d.id desc`,
  )
}

/** Returns a page of the donations that are attributed to a message, newest first. */
export function listMessageDonations(db: Db, messageId: number, page: PageBounds) {
  const id = param(messageId)
  return db.many<Donation>(
    'list_donations_of_message',
    sql`
    with ${attributedTo(sql`${id}::bigint`)}
    select ${donationColumns}, ${id}::bigint as "messageId", a.link
      from (select * from attributed order by id desc offset ${page.offset} limit ${page.perPage}) a
      join donations d on d.id = a.id
     order by d.id desc`,
  )
}

/** The donations of a message by one of its links; null for those that name the message and have no code of its links. */
export type LinkTotal = { link: string | null; count: number; amount: string }

/** Returns the totals of the donations that are attributed to a message, by link, largest amount first. */
export function totalMessageDonations(db: Db, messageId: number) {
  return db.many<LinkTotal>(
    'total_donations_of_message',
    sql`
    with ${attributedTo(sql`${param(messageId)}::bigint`)}
    select a.link, count(*) as count, sum(d.amount)::text as amount
      from attributed a join donations d on d.id = a.id
     group by a.link order by sum(d.amount) desc, a.link`,
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
    sql`
    with d as (
      insert into donations (${columnsOf(row)}) values (${valuesOf(row)}) returning *
    ), codes as (
      insert into donation_codes (list_id, kind, code, donated_at, donation_id)
      select distinct list_id, kind, code, donated_at, id
        from d cross join lateral (select 'refcode', unnest(refcodes) union all select 'utm_campaign', utm_campaign) own (kind, code)
       where message_id is null and code <> ''
    )
    select ${donationColumns}, coalesce(d.message_id, a.message_id) as "messageId", coalesce(a.link, ${namedLinkOf}) as link
      from d left join ${attributionOf} a on true`,
  )
}

/**
 * Returns whether the list has this broadcast, and whether it has started sending it: a draft prompts no gift and may be deleted.
 */
export async function findBroadcast(
  db: Db,
  listId: number,
  messageId: number,
): Promise<{ hasStarted: boolean } | undefined> {
  return db.maybeOne(
    'find_broadcast_of_list',
    /* sql */ `
    select status in ('sending', 'sent', 'cancelled') as "hasStarted"
      from messages where id = $1 and list_id = $2 and kind = 'broadcast'`,
    [messageId, listId],
  )
}
