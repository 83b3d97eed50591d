import { errors } from '../errors.ts'

// A body of 1 MB may have half a million levels or fields, which take the time of the api's only thread. Both are counted
// before anything is parsed; the limits are far above what any operation needs.

/** Maximum number of objects and arrays within each other in a JSON body. */
export const maxLevels = 32

/** Maximum number of fields of a form; a thousand phone numbers with a name each are two thousand. */
export const maxFields = 5_000

const quote = 0x22
const backslash = 0x5c
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d

/** Returns whether objects and arrays in a JSON text are nested in more than `maxLevels`; of malformed JSON, either. */
export function isDeepJson(text: string): boolean {
  let level = 0
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === quote) at = endOfString(text, at)
    else if (unit === openBracket || unit === openBrace) {
      if (++level > maxLevels) return true
    } else if (unit === closeBracket || unit === closeBrace) level--
  }
  return false
}

/** Throws a 400 for a JSON text with too many levels. */
export function rejectDeepJson(text: string): void {
  if (isDeepJson(text)) throw malformed(`nested too deeply (maximum is ${maxLevels} levels)`)
}

/** Returns the index of the quote that ends the string that begins at `start`, or the last index. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === quote) return at
    if (unit === backslash) at++
  }
  return text.length
}

/** Throws a 400 if a form has too many fields, which `separator` separates. */
export function rejectManyFields(text: string, separator: string): void {
  let count = 0
  for (let at = text.indexOf(separator); at >= 0; at = text.indexOf(separator, at + separator.length)) {
    if (++count > maxFields) throw malformed(`too many fields (maximum is ${maxFields})`)
  }
}

const malformed = (fault: string) => errors.unreadableRequest(`Malformed request body: ${fault}`)
