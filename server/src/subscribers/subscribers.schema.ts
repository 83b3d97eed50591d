import { type Static, Type } from 'typebox'
import { presentValues } from '../custom-fields/custom-fields.schema.ts'
import { errors } from '../errors.ts'
import { pageQuery, pageSchema } from '../http/pagination.ts'
import { textParam } from '../http/path-params.ts'
import { accepted, Count, maxInt32, TextOrNull, TimeOrNull, Whole } from '../http/schema.ts'
import { formatTime } from '../lib/format-time.ts'
import { formatPhoneNumber } from '../sms/phone-number.ts'
import { profileKeys } from './profile.schema.ts'
import type { Subscriber } from './subscribers.sql.ts'

/** A phone number in a body, with any punctuation and with or without a leading 1. */
export const PhoneInput = accepted<string | number>({
  type: ['string', 'integer'],
  documented: 'string',
  maxLength: 40,
  description: 'Ten digits; punctuation and a leading 1 or +1 are ignored.',
  examples: ['2065550102'],
})

export const SubscriberUpdateBody = Type.Object({
  subscriber: Type.Object(
    {
      phone_number: Type.Optional(
        Type.Unknown({ documented: false, description: 'Ignored; the path has the number.' }),
      ),
      ...profileKeys,
    },
    { title: 'SubscriberChange', description: 'Only the keys in the request change.' },
  ),
})

const keys = {
  phone_number: Type.String({ description: 'Ten digits.' }),
  first_name: Type.String(),
  last_name: Type.String(),
  email: Type.String(),
  birthdate: Type.String({ description: 'YYYYMMDD or empty.' }),
  zip_code: Type.String(),
  gender: Type.Unsafe<'Male' | 'Female' | null>({ type: ['string', 'null'], enum: ['Male', 'Female', null] }),
  cleaned_at: TimeOrNull,
  subscribed_at: TimeOrNull,
  opted_out_at: TimeOrNull,
  optin_in_progress: Type.Boolean({ description: 'Whether a YES is still expected.' }),
  opt_in_method: TextOrNull(),
  api_source: TextOrNull(),
  keyword_name: TextOrNull(),
  carrier: Whole(0, maxInt32),
  carrier_name: TextOrNull(),
  tags: Type.Array(Type.String()),
  global_carrier_id: TextOrNull(),
  global_carrier_name: TextOrNull(),
}

// only for the API reference: in the static type it would loosen the types of the keys above
const customKeys: object = {
  additionalProperties: {
    type: ['string', 'number', 'null'],
    minimum: -Number.MAX_SAFE_INTEGER,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'The value of the custom field of this key.',
  },
}

/** The phone number of a subscriber in a path. */
export const PhoneParam = textParam(
  { maxLength: 40, description: 'The phone number: ten digits.', examples: ['2065550143'] },
  errors.subscriberNotFound,
)

export const PhonePage = Type.Object({
  ...pageSchema('phone_numbers', Type.String()).properties,
  next_cursor: Type.Optional(
    Type.Unsafe<string | null>({
      type: ['string', 'null'],
      description:
        'The `cursor` of the next page, null on the last one; only in responses to a request with a `cursor`.',
      'x-extension': true,
    }),
  ),
})

export const PhonesQuery = Type.Object({
  ...pageQuery,
  cursor: Type.Optional(
    Type.String({
      maxLength: 20,
      description:
        'Reads the numbers in order without missing one that stays in the collection while others leave it: `0` at first, ' +
        'then the `next_cursor` of each response. Takes precedence over `page`.',
      'x-extension': true,
    }),
  ),
})

/** Returns the number of a cursor, 0 at the start, or undefined without one; throws if it is malformed. */
export function readCursor(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined
  if (cursor === '' || cursor === '0') return 0
  if (!/^[2-9][0-9]{9}$/.test(cursor)) throw errors.invalid({ cursor: ['must be 0 or a next_cursor'] })
  return Number(cursor)
}

export const SubscriberSchema = Type.Object(keys, { title: 'Subscriber', ...customKeys })

export const SubscriberDetailSchema = Type.Object(
  { ...keys, total_messages_received: Count('Broadcasts of this list.') },
  { title: 'SubscriberDetail', ...customKeys },
)

export const SubscriberResponse = Type.Object({ status: Type.Literal('OK'), subscriber: SubscriberDetailSchema })

export const SubscriberUpdatedResponse = Type.Object({
  status: Type.Literal('Subscriber has been updated.'),
  subscriber: SubscriberSchema,
})

export const SubscriberQueuedResponse = Type.Object({ status: Type.Literal('Subscriber update is being processed.') })

/** Presents a subscriber, with the custom fields of the list. */
export function presentSubscriber(subscriber: Subscriber, timeZone: string): Static<typeof SubscriberSchema> {
  return {
    phone_number: formatPhoneNumber(subscriber.phone),
    first_name: subscriber.firstName,
    last_name: subscriber.lastName,
    email: subscriber.email,
    birthdate: subscriber.birthdate,
    zip_code: subscriber.zipCode,
    gender: subscriber.gender,
    cleaned_at: formatTime(subscriber.cleanedAt, timeZone),
    subscribed_at: formatTime(subscriber.subscribedAt, timeZone),
    opted_out_at: formatTime(subscriber.optedOutAt, timeZone),
    optin_in_progress: subscriber.state === 'pending',
    opt_in_method: subscriber.optInMethod,
    api_source: subscriber.apiSource,
    keyword_name: subscriber.keywordName,
    carrier: subscriber.carrier,
    carrier_name: subscriber.carrierName,
    tags: subscriber.tags,
    global_carrier_id: subscriber.globalCarrierId,
    global_carrier_name: subscriber.globalCarrierName,
    ...presentValues(subscriber.customFields, subscriber.customValues, timeZone),
  }
}
