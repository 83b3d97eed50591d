import { errors } from '../errors.ts'
import { countParts } from '../sms/parts.ts'

/** The contract's limit, in Unicode code points. */
const maxCharacters = 160
/** Ten parts of 153 characters in the smaller alphabet: nothing that may pass is longer. */
const mostCharacters = 1_530

/**
 * Refuses a text of more than 160 code points, or, where the caller has named a number of parts instead, of more parts
 * than that.
 */
export function refuseLongContent(content: string, maxParts: number | null): void {
  const characters = countCharacters(content)
  if (maxParts === null) {
    if (characters > maxCharacters) throw refuse(`${maxCharacters} characters`)
  } else if (characters > mostCharacters || countParts(content).partCount > maxParts) {
    throw refuse(maxParts === 1 ? '1 part' : `${maxParts} parts`)
  }
}

const refuse = (limit: string) => errors.invalid({ 'message.content': [`is too long (maximum is ${limit})`] })

function countCharacters(text: string): number {
  let count = 0
  for (const _ of text) count++
  return count
}
