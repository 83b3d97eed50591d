import { errors } from '../errors.ts'
import { isDeepJson, maxLevels } from '../lib/json-levels.ts'

// A body of 1 MB may have half a million levels or fields, which take the time of the api's only thread. Both are counted
// before anything is parsed; the limits are far above what any operation needs.

/** Maximum number of fields of a form; a thousand phone numbers with a name each are two thousand. */
export const maxFields = 5_000

/** Throws a 400 for a JSON text with too many levels. */
export function rejectDeepJson(text: string): void {
  if (isDeepJson(text)) throw malformed(`nested too deeply (maximum is ${maxLevels} levels)`)
}

/** Throws a 400 if a form has too many fields, which `separator` separates. */
export function rejectManyFields(text: string, separator: string): void {
  let count = 0
  for (let at = text.indexOf(separator); at >= 0; at = text.indexOf(separator, at + separator.length)) {
    if (++count > maxFields) throw malformed(`too many fields (maximum is ${maxFields})`)
  }
}

const malformed = (fault: string) => errors.unreadableRequest(`Malformed request body: ${fault}`)
