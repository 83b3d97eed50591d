import type { Db } from '../../db/db.ts'
import { errors } from '../../errors.ts'
import { countParts } from '../../sms/parts.ts'
import { doubledTags, isPlain, parseTemplate, tagText } from './merge-tags.ts'
import { fieldsFor, personalText, unknownTags } from './personal-text.ts'

/** The contract's limit, in Unicode code points. */
const maxCharacters = 160
/** Ten parts of 153 GSM-7 characters: no valid content is longer. */
const longestTextCharacters = 1_530
/** The maximum length with merge tags and their fall-backs included. */
const longestContent = 5_000

/**
 * Throws when the content has more than 160 code points, or more than `maxParts` parts where that is given, or a merge tag
 * that the list has no value for. Content with merge tags is measured with their fall-backs.
 */
export async function validateContent(db: Db, listId: number, content: string, maxParts: number | null): Promise<void> {
  if (content.length > longestContent) throw tooLong(maxParts)
  if (isPlain(content)) {
    if (partsWithin(content, maxParts) === undefined) throw tooLong(maxParts)
    return
  }
  const template = parseTemplate(content)
  const doubled = doubledTags(template)
  if (doubled.length > 0)
    throw contentError(`has merge tags in two pairs of braces, one is enough: ${namesOf(doubled)}`)
  const fields = await fieldsFor(db, listId, template)
  const unknown = unknownTags(template, fields)
  if (unknown.length > 0) throw contentError(`has unknown merge tags: ${namesOf(unknown)}`)
  const { fallbackText } = personalText(template, fields, 'UTC')
  if (fallbackText.trim() === '')
    throw contentError('would be blank for some recipients: add fall-backs to its merge tags')
  if (partsWithin(fallbackText, maxParts) === undefined) throw tooLong(maxParts)
}

/**
 * The number of parts of a text, or undefined when it is longer than a message with this `max_parts` may be. The rule is
 * the same for the content and for each recipient's text.
 */
export function partsWithin(text: string, maxParts: number | null): number | undefined {
  if (maxParts === null && text.length > maxCharacters && countCharacters(text) > maxCharacters) return undefined
  if (text.length > 2 * longestTextCharacters) return undefined
  const { partCount } = countParts(text)
  return maxParts === null || partCount <= maxParts ? partCount : undefined
}

/** The number of parts of the content with the fall-backs of its merge tags. */
export function typicalPartCount(content: string): number {
  if (isPlain(content)) return countParts(content).partCount
  return countParts(personalText(parseTemplate(content), [], 'UTC').fallbackText).partCount
}

const contentError = (fault: string) => errors.invalid({ 'message.content': [fault] })

function tooLong(maxParts: number | null) {
  const limit = maxParts === null ? `${maxCharacters} characters` : maxParts === 1 ? '1 part' : `${maxParts} parts`
  return contentError(`is too long (maximum is ${limit})`)
}

const namesOf = (tags: Parameters<typeof tagText>[0][]) => [...new Set(tags.map(tagText))].join(', ')

function countCharacters(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}
