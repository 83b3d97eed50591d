import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { pageSchema } from '../http/pagination.ts'
import { accepted, Count, Id, TextOrNull, Time, timeFault, WholeOrNull } from '../http/schema.ts'
import { isUsualYear, parseInstant, usualYears } from '../lib/dates.ts'
import { formatTimeWithMs } from '../lib/format-time.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import type { Donation, Gift, LinkTotal } from './donations.queries.ts'

const extension = { 'x-extension': true }
const maxText = 191
const Platform = (description: string) =>
  accepted<string | number>({
    type: ['string', 'integer'],
    documented: 'string',
    maxLength: maxText,
    pattern: '\\S',
    description,
  })
const Utm = Type.Optional(TextOrNull({ maxLength: maxText }))

export const DonationBody = Type.Object(
  {
    amount: accepted<string | number>({
      type: ['string', 'number'],
      documented: 'string',
      maxLength: 20,
      description: 'US dollars, up to 999999.99.',
      examples: ['25.50'],
    }),
    donation_platform: Platform('The platform that received the donation.'),
    donation_platform_uid: Platform('Id of the donation on that platform, unique within the list.'),
    donated_at: Type.Optional(
      TextOrNull({ maxLength: 40, description: 'ISO 8601 with an offset, in the years 1800 to 2200; by default now.' }),
    ),
    utm_campaign: Utm,
    utm_medium: Utm,
    utm_source: Utm,
    utm_term: Utm,
    utm_content: Utm,
    refcodes: Type.Optional(
      Type.Unsafe<string[] | null>({
        type: ['array', 'null'],
        items: { type: 'string', maxLength: maxText },
        maxItems: 100,
      }),
    ),
  },
  {
    description:
      'Flat keys. The former version is accepted, too: all keys inside `donation`, and the refcodes as ' +
      '`refcodes_attributes: [{"refcode": "..."}]`.',
  },
)

export const DonationSchema = Type.Object(
  {
    id: Id('Id of the donation.'),
    amount: Type.String({ description: 'Decimal.', examples: ['25.0'] }),
    donated_at: Time,
    donation_platform: Type.String(),
    donation_platform_uid: Type.String(),
    utm_campaign: TextOrNull(),
    utm_medium: TextOrNull(),
    utm_source: TextOrNull(),
    utm_term: TextOrNull(),
    utm_content: TextOrNull(),
    refcodes: Type.Array(Type.String()),
    phone_number: Type.Optional(
      Type.String({ description: 'Number of the subscriber; absent for a donation by message.' }),
    ),
    message_id: Type.Optional({
      ...WholeOrNull(1, Number.MAX_SAFE_INTEGER, 'The message that the donation is attributed to.'),
      ...extension,
    }),
    message_link: Type.Optional({
      ...TextOrNull({ description: 'The link of that message with the code of the donation.' }),
      ...extension,
    }),
  },
  { title: 'Donation' },
)

export const DonationPage = pageSchema('donations', DonationSchema)

const Amount = Type.String({ description: 'Decimal.', examples: ['25.0'] })

/** The donations of a message, with their totals. */
export const MessageDonationPage = Type.Object(
  {
    ...DonationPage.properties,
    amount: Amount,
    links: Type.Array(
      Type.Object(
        {
          link: TextOrNull({ description: 'A link of the message; null for donations without a code of its links.' }),
          donation_count: Count(),
          amount: Amount,
        },
        { title: 'LinkDonations' },
      ),
      { description: 'Largest amount first.' },
    ),
  },
  { title: 'MessageDonationPage' },
)

export const DonationCreatedResponse = Type.Object({
  status: Type.Literal('Donation created'),
  donation: DonationSchema,
})

/** Returns the flat version of a body with the former envelope; returns any other body unchanged. */
export function withoutEnvelope(body: unknown): unknown {
  if (!isObject(body) || !isObject(body.donation)) return body
  const { refcodes_attributes: attributes, ...flat } = body.donation
  if (!Array.isArray(attributes)) return flat
  return { refcodes: attributes.map((one) => (isObject(one) ? one.refcode : one)), ...flat }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Returns the gift in a validated body; throws for errors that the schema cannot express. */
export function readGift(body: Static<typeof DonationBody>, now: Date): Gift {
  const faults: Record<string, string[]> = {}
  const amount = String(body.amount).trim()
  if (!/^\d{1,6}(?:\.\d{1,2}0*)?$/.test(amount)) faults.amount = ['must be a number of dollars up to 999999.99']
  else if (!/[1-9]/.test(amount)) faults.amount = ['must be greater than 0']
  const donatedAt = body.donated_at ? parseInstant(body.donated_at)?.instant : now
  if (!donatedAt) faults.donated_at = [timeFault]
  else if (!isUsualYear(donatedAt)) faults.donated_at = [`must be in ${usualYears}`]
  if (!donatedAt || Object.keys(faults).length > 0) throw errors.invalid(faults)
  return {
    amount,
    donatedAt,
    donationPlatform: String(body.donation_platform),
    donationPlatformUid: String(body.donation_platform_uid),
    utmCampaign: body.utm_campaign ?? null,
    utmMedium: body.utm_medium ?? null,
    utmSource: body.utm_source ?? null,
    utmTerm: body.utm_term ?? null,
    utmContent: body.utm_content ?? null,
    refcodes: body.refcodes ?? [],
  }
}

export function presentDonation(donation: Donation, timeZone: string): Static<typeof DonationSchema> {
  return {
    id: donation.id,
    amount: presentAmount(donation.amount),
    donated_at: formatTimeWithMs(donation.donatedAt, timeZone),
    donation_platform: donation.donationPlatform,
    donation_platform_uid: donation.donationPlatformUid,
    utm_campaign: donation.utmCampaign,
    utm_medium: donation.utmMedium,
    utm_source: donation.utmSource,
    utm_term: donation.utmTerm,
    utm_content: donation.utmContent,
    refcodes: donation.refcodes,
    ...(donation.phone === null ? {} : { phone_number: formatPhoneNumber(donation.phone) }),
    message_id: donation.messageId,
    message_link: donation.link,
  }
}

/** The database returns two decimal digits, the contract as few as possible, but at least one. */
const presentAmount = (amount: string) => amount.replace(/0$/, '')

/** Returns the totals of a message's donations, by link and of all. */
export function presentTotals(totals: LinkTotal[]) {
  const cents = totals.reduce((sum, { amount }) => sum + BigInt(amount.replace('.', '')), 0n)
  const digits = String(cents).padStart(3, '0')
  return {
    amount: presentAmount(`${digits.slice(0, -2)}.${digits.slice(-2)}`),
    links: totals.map(({ link, count, amount }) => ({ link, donation_count: count, amount: presentAmount(amount) })),
  }
}
