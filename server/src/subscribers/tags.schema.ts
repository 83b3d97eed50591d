import { type Static, Type } from 'typebox'
import { errors } from '../errors.ts'
import { accepted, Count, Flag, isSet } from '../http/schema.ts'
import { formatPhoneNumber, parsePhoneNumber } from '../sms/phone-number.ts'

const longestTag = 255
/** The maximum number of tags in one call, for one subscriber and for many. */
export const maxTags = 1_000
const maxBulkTags = 50
const maxNumbers = 1_000

/** Tags in a body: a comma-separated string or an array. */
export function TagsInput(maxItems: number, description: string) {
  return accepted<string | string[] | null>({
    type: ['string', 'array', 'null'],
    documented: 'array',
    items: { type: 'string', maxLength: longestTag },
    maxItems,
    description: `Comma-separated, or an array. ${description}`,
  })
}

/**
 * Returns the tags in a value, trimmed and without duplicates; case matters. Throws if there are too many, or one is
 * too long. `field` is the name of the value in the error.
 */
export function readTags(given: string | string[] | null, field: string, limit: number): string[] {
  // with some room for blanks and duplicates, which are not counted
  const maxTexts = 10 * limit
  const texts = typeof given === 'string' ? given.split(',', maxTexts + 1) : (given ?? [])
  if (texts.length > maxTexts) throw errors.invalid({ [field]: [`has too many items (maximum is ${limit})`] })
  const tags = [...new Set(texts.map((tag) => tag.trim()).filter((tag) => tag !== ''))]
  if (tags.length > limit) throw errors.invalid({ [field]: [`has too many items (maximum is ${limit})`] })
  if (tags.some((tag) => tag.length > longestTag && (tag.length > 2 * longestTag || [...tag].length > longestTag))) {
    throw errors.invalid({ [field]: [`is too long (maximum is ${longestTag} characters)`] })
  }
  return tags
}

const NumbersInput = accepted<string | (string | number)[] | null>({
  type: ['array', 'string', 'null'],
  documented: 'array',
  items: { type: ['string', 'integer'], documented: 'string' },
  maxItems: maxNumbers,
  description: `An array of phone numbers, ${maxNumbers} at most; or a comma-separated string.`,
})

const bulkKeys = {
  phone_numbers: Type.Optional(NumbersInput),
  tags: Type.Optional(TagsInput(maxBulkTags, `At most ${maxBulkTags}.`)),
  replace_tags: Type.Optional(Flag('Whether to remove all other tags; without `tags`, all tags.')),
}

export const TagsBody = Type.Object({ tags: TagsInput(maxTags, 'Case-sensitive.') })
export const AddTagsBody = Type.Object({
  phone_numbers: NumbersInput,
  tags: TagsInput(maxBulkTags, `At most ${maxBulkTags}.`),
})
/** The keys inside `bulk_tagging`, or without that envelope, as the former version had them. */
export const BulkTaggingBody = Type.Object(
  { bulk_tagging: Type.Optional(Type.Object(bulkKeys)), ...bulkKeys },
  {
    documented: Type.Object({
      bulk_tagging: Type.Object({ ...bulkKeys, phone_numbers: NumbersInput }, { title: 'BulkTagging' }),
    }),
  },
)

export const TagsRemovedResponse = Type.Object({
  status: Type.Literal('OK'),
  deleted: Type.Array(Type.String()),
  not_found: Type.Array(Type.String()),
  message: Type.String({ examples: ['Tag removal completed with partial success.'] }),
})
export const BulkTaggingResponse = Type.Object({
  status: Type.Literal('Bulk tagging operation queued successfully.'),
  number_count: Count('Numbers in the request.'),
  tag_count: Count(),
  subscribers_to_update: Count('Numbers of the request that are subscribed.'),
  replace_tags: Type.Boolean(),
  not_subscribed: Type.Optional(Type.Array(Type.String(), { description: 'Absent when empty.' })),
  invalid_numbers: Type.Optional(Type.Array(Type.String(), { description: 'As in the request. Absent when empty.' })),
})
export const TagsDeletedResponse = Type.Object({ status: Type.Literal('Tags enqueued for deletion') })
export const TagsAppliedResponse = Type.Object({ status: Type.Literal('Tags were applied') })

/** Returns the tags of a body; throws if there are none. */
export function readNamedTags(given: string | string[] | null, limit = maxTags): string[] {
  const tags = readTags(given, 'tags', limit)
  if (tags.length === 0) throw errors.invalid({ tags: ["can't be blank"] })
  return tags
}

export type Numbers = {
  /** The number of phone numbers in the request. */
  count: number
  /** Without duplicates. */
  phones: number[]
  /** Values that are not phone numbers, as they were sent. */
  invalid: string[]
}

/** Returns the phone numbers in a value; throws if there are none or too many. */
export function readNumbers(given: string | (string | number)[] | null | undefined, field: string): Numbers {
  const parts = typeof given === 'string' ? given.split(',', maxNumbers + 1) : (given ?? [])
  const texts = parts.map((text) => String(text).trim())
  if (texts.length === 0 || (typeof given === 'string' && given.trim() === '')) {
    throw errors.invalid({ [field]: ["can't be blank"] })
  }
  if (texts.length > maxNumbers) throw errors.invalid({ [field]: [`has too many items (maximum is ${maxNumbers})`] })
  const phones = new Set<number>()
  const invalid = new Set<string>()
  for (const text of texts) {
    const phone = parsePhoneNumber(text)
    if (phone === undefined) invalid.add(text)
    else phones.add(phone)
  }
  return { count: texts.length, phones: [...phones], invalid: [...invalid] }
}

export type BulkTagging = { numbers: Numbers; tags: string[]; replace: boolean }

/** Returns the tagging in a validated body, of the current or the former version. */
export function readBulkTagging(body: Static<typeof BulkTaggingBody>): BulkTagging {
  const envelope = body.bulk_tagging
  if (!envelope && body.phone_numbers === undefined) throw errors.invalid({ bulk_tagging: ["can't be blank"] })
  const given = envelope ?? body
  const field = (key: string) => (envelope ? `bulk_tagging.${key}` : key)
  const numbers = readNumbers(given.phone_numbers, field('phone_numbers'))
  const tags = readTags(given.tags ?? null, field('tags'), maxBulkTags)
  const replace = isSet(given.replace_tags)
  if (tags.length === 0 && !replace) throw errors.invalid({ [field('tags')]: ["can't be blank"] })
  return { numbers, tags, replace }
}

/** Returns the tagging in a body of the former operation. */
export function readAddTags(body: Static<typeof AddTagsBody>): BulkTagging {
  const numbers = readNumbers(body.phone_numbers, 'phone_numbers')
  return { numbers, tags: readNamedTags(body.tags, maxBulkTags), replace: false }
}

/** Presents a queued tagging. */
export function presentBulkTagging(
  { numbers, tags, replace }: BulkTagging,
  subscribed: number[],
  unreachable: ReadonlySet<number>,
): Static<typeof BulkTaggingResponse> {
  const isSubscribed = new Set(subscribed)
  const others = numbers.phones.filter((phone) => !isSubscribed.has(phone))
  const notSubscribed = others.filter((phone) => !unreachable.has(phone)).map(formatPhoneNumber)
  // the contract counts landlines as invalid
  const invalid = [...numbers.invalid, ...others.filter((phone) => unreachable.has(phone)).map(formatPhoneNumber)]
  return {
    status: 'Bulk tagging operation queued successfully.',
    number_count: numbers.count,
    tag_count: tags.length,
    subscribers_to_update: subscribed.length,
    replace_tags: replace,
    ...(notSubscribed.length > 0 && { not_subscribed: notSubscribed }),
    ...(invalid.length > 0 && { invalid_numbers: invalid }),
  }
}

/** Presents the result of removing tags from one subscriber that had the tags `before`. */
export function presentRemoval(tags: string[], before: string[]): Static<typeof TagsRemovedResponse> {
  const known = new Set(before)
  const deleted = tags.filter((tag) => known.has(tag))
  const notFound = tags.filter((tag) => !known.has(tag))
  return {
    status: 'OK',
    deleted,
    not_found: notFound,
    message:
      notFound.length === 0 ? 'Tag removal completed successfully.' : 'Tag removal completed with partial success.',
  }
}
