import { type Static, Type } from 'typebox'
import { carrierName } from '../carriers/carriers.ts'
import { errors } from '../errors.ts'
import { pageSchema } from '../http/pagination.ts'
import { idParam } from '../http/path-params.ts'
import { accepted, Dollars, Id, TextOrNull, WholeOrNull } from '../http/schema.ts'
import type { NewRate, Rate } from './rates.queries.ts'
import { readCarrier, readPrice, readSince } from './rates.ts'

const IdOrNull = (description: string) => WholeOrNull(1, 999_999_999, description)

const allAccounts = 'The account of the rate; null means all accounts that have no rate of their own.'
const anyCarrier = 'The carrier of the recipients; null means any carrier.'

export const RateBody = Type.Object({
  rate: Type.Object(
    {
      price: accepted<string | number>({
        type: ['string', 'number'],
        documented: 'string',
        maxLength: 20,
        description: 'US dollars for one part, with at most six decimal digits.',
      }),
      account_id: Type.Optional(IdOrNull(allAccounts)),
      channel: Type.Optional(Type.Unsafe<'sms' | 'mms'>({ type: 'string', enum: ['sms', 'mms'] })),
      carrier: Type.Optional(IdOrNull(anyCarrier)),
      since: Type.Optional(
        Type.String({ maxLength: 10, description: 'First day (UTC), YYYY-MM-DD; by default today.' }),
      ),
      source: Type.Optional(TextOrNull({ maxLength: 255, description: 'Source of the price, such as an invoice.' })),
    },
    { title: 'RateCreation', additionalProperties: false },
  ),
})

const RateSchema = Type.Object(
  {
    id: Id('Id of the rate.'),
    account_id: IdOrNull(allAccounts),
    channel: Type.Unsafe<'sms' | 'mms'>({ type: 'string', enum: ['sms', 'mms'] }),
    carrier: IdOrNull(anyCarrier),
    carrier_name: TextOrNull(),
    price: Dollars('US dollars for one part.'),
    since: Type.String({ format: 'date' }),
    source: Type.String(),
  },
  { title: 'Rate', 'x-extension': true },
)

/** The id of a rate in a path. */
export const RateIdParam = idParam('Id of the rate.', errors.rateNotFound)

export const RatePage = pageSchema('rates', RateSchema)
export const RateResponse = Type.Object({ status: Type.Literal('Rate set'), rate: RateSchema })
export const RateRemoved = Type.Object({ status: Type.Literal('Rate removed') })

/** Returns the rate of a validated body, from `today` if it has no first day; throws a 422 if a value is invalid. */
export function readRate({ rate }: Static<typeof RateBody>, today: string): NewRate {
  const price = readPrice(String(rate.price))
  const carrier = rate.carrier == null ? null : readCarrier(String(rate.carrier))
  const since = rate.since === undefined ? today : readSince(rate.since)
  const faults: Record<string, string[]> = {}
  if (price === undefined) faults['rate.price'] = ['must be a price in dollars, such as 0.0079']
  if (carrier === undefined) faults['rate.carrier'] = ['must be the id of a known carrier']
  if (since === undefined) faults['rate.since'] = ['must be a date, such as 2031-05-06']
  if (price === undefined || carrier === undefined || since === undefined) throw errors.invalid(faults)
  return {
    accountId: rate.account_id ?? null,
    channel: rate.channel ?? 'sms',
    carrier,
    price,
    since,
    source: rate.source ?? '',
  }
}

export function presentRate(rate: Rate): Static<typeof RateSchema> {
  return {
    id: rate.id,
    account_id: rate.accountId,
    channel: rate.channel,
    carrier: rate.carrier,
    carrier_name: rate.carrier === null ? null : (carrierName(rate.carrier) ?? null),
    price: Number(rate.price),
    since: rate.since,
    source: rate.source,
  }
}
