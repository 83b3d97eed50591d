import { type Static, Type } from 'typebox'
import type { Config } from '../config/config.ts'
import { errors } from '../errors.ts'
import { accepted, TextOrNull } from '../http/schema.ts'
import { AudienceOrNull } from './audience/audience.schema.ts'
import { maxPhones, readPhones } from './audience/recipients.ts'
import { SendAt, timingKeys } from './timing/timing.schema.ts'

// The bodies of requests that create, change or test messages.

const extension = { 'x-extension': true }

const Content = Type.String({
  pattern: '\\S',
  description:
    'At most 160 characters, or `max_parts` parts. Merge tags: `{first_name}`, `{first_name|neighbor}`, `{team}`.',
})
const Name = Type.Optional(
  TextOrNull({ maxLength: 255, description: 'A name for your own use; recipients do not see it.' }),
)
const MaxParts = Type.Optional(
  Type.Unsafe<number | null>({
    type: ['integer', 'null'],
    minimum: 1,
    maximum: 10,
    description: 'The maximum number of parts, instead of 160 characters. Each part is sent and billed as one text.',
    ...extension,
  }),
)
const TrackLinks = Type.Optional(
  Type.Boolean({
    description:
      'Sends each http(s) link of the content as a short URL for each recipient, which counts clicks. A short URL is ' +
      'counted in the length of the text instead of the link.',
    ...extension,
  }),
)
const PhoneText = accepted<string | number>({ type: ['string', 'integer'], documented: 'string', maxLength: 40 })

export const MessageCreateBody = Type.Object({
  message: Type.Object(
    {
      content: Content,
      name: Name,
      phone_number: Type.Optional(
        Type.Unsafe<string | number>({ ...PhoneText, description: 'Sends to this number instead of to the list.' }),
      ),
      phone_numbers: Type.Optional(
        Type.Array(PhoneText, { maxItems: maxPhones, description: 'Sends to these numbers instead of to the list.' }),
      ),
      max_parts: MaxParts,
      track_links: TrackLinks,
      audience: AudienceOrNull,
      draft: Type.Optional(
        Type.Boolean({ description: 'Stores the message as a draft instead of sending it.', ...extension }),
      ),
      send_at: SendAt,
      ...timingKeys,
    },
    { title: 'MessageCreation' },
  ),
})

export type MessageCreate = Static<typeof MessageCreateBody>['message']

/**
 * Returns the numbers that a message names as its recipients; undefined if it goes to the list. Throws if a number is
 * malformed, or if another key is only for messages to the list.
 */
export function readRecipients(message: MessageCreate): number[] | undefined {
  const { phone_number, phone_numbers } = message
  if (phone_number === undefined && phone_numbers === undefined) return undefined
  const listOnly = ['audience', 'draft', 'send_at', 'local_time', 'quiet_hours', 'send_hours'] as const
  const misplaced = listOnly.filter((key) => message[key])
  if (misplaced.length > 0) {
    const details = misplaced.map((key) => [
      `message.${key}`,
      ['is only for a message to the list, not for one with phone numbers'],
    ])
    throw errors.invalid(Object.fromEntries(details))
  }
  const single = phone_number === undefined ? [] : readPhones([phone_number], 'message.phone_number')
  const several = phone_numbers === undefined ? [] : readPhones(phone_numbers, 'message.phone_numbers')
  return [...new Set([...single, ...several])]
}

/**
 * Returns the base of the short URLs of a message that tracks its links, null for one that does not, and undefined if that
 * was not given. Throws if this process has no secret key, which short URLs require.
 */
export function readLinkBase(rt: { config: Config }, trackLinks: boolean | undefined): string | null | undefined {
  if (!trackLinks) return trackLinks === undefined ? undefined : null
  if (!rt.config.secretKey) throw errors.invalid({ 'message.track_links': ['requires a secret key on this server'] })
  return rt.config.http.linkUrl
}

export const MessageUpdateBody = Type.Object({
  message: Type.Object(
    {
      content: Type.Optional(Content),
      name: Name,
      max_parts: MaxParts,
      track_links: TrackLinks,
      audience: AudienceOrNull,
      send_at: Type.Optional(
        TextOrNull({ maxLength: 40, description: 'A new planned time; null turns a scheduled message into a draft.' }),
      ),
      ...timingKeys,
    },
    { title: 'MessageChange', description: 'Only the keys in the request change.' },
  ),
})

export const TestBody = Type.Object({
  phone_numbers: Type.Array(PhoneText, {
    minItems: 1,
    maxItems: 20,
    description: 'The numbers that the test is sent to.',
  }),
})
