import type { ValueRules } from '../../custom-fields/values.ts'
import type { Db } from '../../db/db.ts'
import { errors } from '../../errors.ts'
import { sampleUrl } from '../../links/links.ts'
import { countParts } from '../../sms/parts.ts'
import { findTagFaults, isPlain, parseTemplate, type Template, tagText } from './merge-tags.ts'
import { fieldsFor, personalText, unknownTags } from './personal-text.ts'
import { maxCharacters, mostParts, partsWithin } from './text-length.ts'
import { linksWithTags, splitLinks } from './tracked-links.ts'

/** The maximum length of content, including merge tags and their fallbacks. */
const longestContent = 5_000

/** What is measured: the content, its limit, and the base of its short URLs (null if its links are not tracked). */
export type Measured = { content: string; maxParts: number | null; linkBase: string | null }

/**
 * Throws if the content has more than 160 code points (with `maxParts`: more than that number of parts), a malformed
 * merge tag, or one that is neither in the profile nor a custom field of the list. Content with merge tags is measured
 * with their fallbacks; links that are tracked, with short URLs at `linkBase`.
 */
export async function validateContent(
  db: Db,
  listId: number,
  { content, maxParts, linkBase }: Measured,
): Promise<void> {
  if (content.length > longestContent) throw tooLong(maxParts)
  rejectTagFaults(content)
  if (linkBase === null && isPlain(content)) {
    if (partsWithin(content, maxParts) === undefined) throw tooLong(maxParts)
    return
  }
  const template = parseTemplate(content)
  if (linkBase !== null) rejectLinksWithTags(template)
  const fields = await fieldsFor(db, listId, template)
  const unknown = unknownTags(template, fields)
  if (unknown.length > 0) throw contentError(`has unknown merge tags: ${namesOf(unknown)}`)
  const fallbackText = fallbackOf(template, fields, maxParts, linkBase)
  if (fallbackText.trim() === '')
    throw contentError('would be blank for some recipients: add fall-backs to its merge tags')
  if (partsWithin(fallbackText, maxParts) === undefined) throw tooLong(maxParts)
}

/** Throws for braces that were meant as a merge tag: they would stay in every recipient's text. */
function rejectTagFaults(content: string): void {
  const { doubled, malformed } = findTagFaults(content)
  if (doubled.length > 0)
    throw contentError(`has merge tags in two pairs of braces, one is enough: ${doubled.join(', ')}`)
  if (malformed.length > 0)
    throw contentError(`has malformed merge tags (write \\{ for a brace): ${malformed.join(', ')}`)
}

function rejectLinksWithTags(template: Template): void {
  const links = linksWithTags(template)
  if (links.length > 0)
    throw contentError(`has a merge tag in a link, which cannot be tracked then: ${links.join(', ')}`)
}

/** Returns the number of parts of the content with the fallbacks of its merge tags, and short URLs if links are tracked. */
export function typicalPartCount(content: string, linkBase: string | null): number {
  if (linkBase === null && isPlain(content)) return countParts(content).partCount
  return countParts(fallbackOf(parseTemplate(content), [], mostParts, linkBase)).partCount
}

function fallbackOf(parsed: Template, fields: ValueRules[], maxParts: number | null, linkBase: string | null): string {
  const template = linkBase === null ? parsed : splitLinks(parsed).template
  const shortUrls = linkBase === null ? undefined : () => sampleUrl(linkBase)
  return personalText(template, fields, { timeZone: 'UTC', maxParts, shortUrls }).fallbackText
}

const contentError = (fault: string) => errors.invalid({ 'message.content': [fault] })

function tooLong(maxParts: number | null) {
  const limit = maxParts === null ? `${maxCharacters} characters` : maxParts === 1 ? '1 part' : `${maxParts} parts`
  return contentError(`is too long (maximum is ${limit})`)
}

const namesOf = (tags: Parameters<typeof tagText>[0][]) => [...new Set(tags.map(tagText))].join(', ')
