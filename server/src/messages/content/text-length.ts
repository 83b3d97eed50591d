import { countParts } from '../../sms/parts.ts'

/** The contract's limit, in Unicode code points. */
export const maxCharacters = 160
/** The highest `max_parts` of a message. */
export const mostParts = 10
const charactersPerPart = 160

/**
 * Returns the length, in UTF-16 units, above which no text of a message with this `max_parts` is sent, however it is
 * encoded.
 */
export function longestText(maxParts: number | null): number {
  return maxParts === null ? 2 * maxCharacters : charactersPerPart * maxParts
}

/** Values that are longer, in UTF-16 units, are in no text that is sent. */
export const longestValue = longestText(mostParts)

/**
 * Returns the number of parts of a text, or undefined if it exceeds the limit of a message with this `max_parts`. The
 * rule is the same for the content and for each recipient's text.
 */
export function partsWithin(text: string, maxParts: number | null): number | undefined {
  if (text.length > longestText(maxParts)) return undefined
  if (maxParts === null && text.length > maxCharacters && countCharacters(text) > maxCharacters) return undefined
  const { partCount } = countParts(text)
  return maxParts === null || partCount <= maxParts ? partCount : undefined
}

function countCharacters(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}
