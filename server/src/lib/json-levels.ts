// A text of 1 MB may have a million levels. V8 parses them, but recursive functions such as JSON.stringify fail, and every
// other function takes its time.

/** Maximum number of objects and arrays within each other in a JSON body. */
export const maxLevels = 32

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

/** Returns the index of the quote that ends the string that begins at `start`, or the last index. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === quote) return at
    if (unit === backslash) at++
  }
  return text.length
}
