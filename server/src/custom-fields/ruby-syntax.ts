// The vendor's service checks values with Ruby's regular expressions. RE2 lacks some of their classes, which are
// translated here; in Ruby, `\h` is a hexadecimal digit, not a blank as in PCRE.

const hexDigit = '0-9A-Fa-f'

/** The POSIX classes of `\p{...}`, as the content of a class of RE2. */
const posixClasses: Record<string, string> = {
  alnum: '\\p{L}\\p{M}\\p{Nd}',
  alpha: '\\p{L}\\p{M}',
  ascii: '\\x00-\\x7F',
  blank: '\\t\\p{Zs}',
  cntrl: '\\p{Cc}',
  digit: '\\p{Nd}',
  lower: '\\p{Ll}',
  punct: '\\p{P}',
  space: '\\t-\\r\\x{85}\\p{Z}',
  upper: '\\p{Lu}',
  word: '\\p{L}\\p{M}\\p{Nd}\\p{Pc}',
  xdigit: hexDigit,
}

const posixAt = /\\([pP])\{(\^?)([a-zA-Z]+)\}/y
const literalAt = /\\Q.*?(?:\\E|$)/sy
const bracketAt = /\[:\^?[a-z]+:\]/y

/**
 * Returns a pattern in the syntax of RE2: `\p{Alpha}` and the other POSIX classes, `\h`, `\H` and `\Z` are translated, the
 * rest is unchanged. A negated class within brackets cannot be translated and stays as it is, so RE2 rejects it.
 */
export function translateRubyPattern(pattern: string): string {
  let translated = ''
  /** Index of the first character of the current brackets; undefined outside. */
  let classStart: number | undefined
  for (let at = 0; at < pattern.length; ) {
    const step = escapeAt(pattern, at, classStart !== undefined)
    if (step) {
      translated += step.text
      at = step.end
      continue
    }
    const character = pattern.charAt(at)
    if (classStart === undefined && character === '[') {
      classStart = at + (pattern.charAt(at + 1) === '^' ? 2 : 1)
    } else if (classStart !== undefined && character === ']' && at > classStart) {
      classStart = undefined
    }
    translated += character
    at++
  }
  return translated
}

/** Returns the translated escape or bracket at this index, and the index behind it; undefined for another character. */
function escapeAt(pattern: string, at: number, isInClass: boolean): { text: string; end: number } | undefined {
  const bracket = isInClass ? matchAt(bracketAt, pattern, at) : undefined
  if (bracket) return { text: bracket[0], end: at + bracket[0].length }
  if (pattern.charAt(at) !== '\\') return undefined
  const literal = matchAt(literalAt, pattern, at)
  if (literal) return { text: literal[0], end: at + literal[0].length }
  const [posix = '', letter, caret, name = ''] = matchAt(posixAt, pattern, at) ?? []
  const members = Object.hasOwn(posixClasses, name.toLowerCase()) ? posixClasses[name.toLowerCase()] : undefined
  if (members !== undefined) {
    const isNegated = (letter === 'P') !== (caret === '^')
    const text = isNegated ? (isInClass ? posix : `[^${members}]`) : isInClass ? members : `[${members}]`
    return { text, end: at + posix.length }
  }
  const pair = pattern.slice(at, at + 2)
  const end = at + 2
  if (pair === '\\h') return { text: isInClass ? hexDigit : `[${hexDigit}]`, end }
  if (pair === '\\H' && !isInClass) return { text: `[^${hexDigit}]`, end }
  if (pair === '\\Z' && !isInClass) return { text: '\\n?\\z', end }
  return { text: pair, end }
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at
  return pattern.exec(text) ?? undefined
}
