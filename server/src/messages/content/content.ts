import type { Db } from '../../db/db.ts'
import { errors } from '../../errors.ts'
import { countParts } from '../../sms/parts.ts'
import { doubledTags, isPlain, parseTemplate, tagText } from './merge-tags.ts'
import { fieldsFor, personalText, unknownTags } from './personal-text.ts'

/** The contract's limit, in Unicode code points. */
const maxCharacters = 160
/** Ten parts of 153 characters in the smaller alphabet: nothing that may pass is longer. */
const mostCharacters = 1_530
/** What is written, its tags and their fall-backs included. */
const mostWritten = 5_000

/**
 * Refuses a text of more than 160 code points, or, where the caller has named a number of parts instead, of more parts
 * than that; and merge tags that the list has no value for. A text with tags is measured as it reads to somebody of whom
 * nothing is known.
 */
export async function refuseContent(db: Db, listId: number, content: string, maxParts: number | null): Promise<void> {
  if (content.length > mostWritten) throw tooLong(maxParts)
  if (isPlain(content)) {
    if (partsWithin(content, maxParts) === undefined) throw tooLong(maxParts)
    return
  }
  const template = parseTemplate(content)
  const doubled = doubledTags(template)
  if (doubled.length > 0) throw refusal(`has merge tags in two pairs of braces, one is enough: ${namesOf(doubled)}`)
  const fields = await fieldsFor(db, listId, template)
  const unknown = unknownTags(template, fields)
  if (unknown.length > 0) throw refusal(`has unknown merge tags: ${namesOf(unknown)}`)
  const { fallbackText } = personalText(template, fields, 'UTC')
  if (fallbackText.trim() === '') throw refusal('would be blank to some: give its merge tags a fall-back')
  if (partsWithin(fallbackText, maxParts) === undefined) throw tooLong(maxParts)
}

/**
 * How many parts a text is, or undefined when it is longer than a message of this `max_parts` may be. The rule is the same
 * for what is written and for what each recipient would get of it.
 */
export function partsWithin(text: string, maxParts: number | null): number | undefined {
  if (maxParts === null && text.length > maxCharacters && countCharacters(text) > maxCharacters) return undefined
  if (text.length > 2 * mostCharacters) return undefined
  const { partCount } = countParts(text)
  return maxParts === null || partCount <= maxParts ? partCount : undefined
}

/** How many parts a text is, where its merge tags say what they say of somebody of whom nothing is known. */
export function typicalPartCount(content: string): number {
  if (isPlain(content)) return countParts(content).partCount
  return countParts(personalText(parseTemplate(content), [], 'UTC').fallbackText).partCount
}

const refusal = (fault: string) => errors.invalid({ 'message.content': [fault] })

function tooLong(maxParts: number | null) {
  const limit = maxParts === null ? `${maxCharacters} characters` : maxParts === 1 ? '1 part' : `${maxParts} parts`
  return refusal(`is too long (maximum is ${limit})`)
}

const namesOf = (tags: Parameters<typeof tagText>[0][]) => [...new Set(tags.map(tagText))].join(', ')

function countCharacters(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}
