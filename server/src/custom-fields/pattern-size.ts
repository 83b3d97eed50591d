// The time and memory of RE2 for a pattern depend on its size with all repetitions written out: 20 characters such as
// (?:[a-z]{30}){30} stand for 900. The size is estimated before the pattern is compiled.

/** Maximum size of a pattern's source: four times that of a compiled pattern, because RE2 simplifies some. */
export const maxSourceSize = 2_000

/** A Unicode class has hundreds of ranges, which are copied with each repetition. */
const unicodeClassSize = 30
const furtherClassSize = 5

const repetition = /\{(\d{1,9})(?:,(\d{1,9})?)?\}/y
const escaped = /\\(?:Q.*?(?:\\E|$)|[pP]\{[^}]*\}|x\{[^}]*\}|.)/sy
const brackets = /\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]/sy

/** Returns the number of parts of a pattern in RE2's syntax, with its repetitions written out. */
export function sourceSizeOf(source: string): number {
  /** The sizes of the open groups, the innermost last. */
  const groups = [0]
  /** The size of the part that a repetition applies to. */
  let last = 0
  const enlarge = (size: number) => groups.push((groups.pop() ?? 0) + size)
  for (let at = 0; at < source.length; ) {
    const character = source.charAt(at)
    const counted = character === '{' ? matchAt(repetition, source, at) : undefined
    if (counted) {
      const [whole, minimum, maximum] = counted
      const times = Math.max(Number(minimum), Number(maximum ?? 0), 1)
      enlarge(last * (times - 1))
      last *= times
      at += whole.length
      continue
    }
    const pattern = character === '\\' ? escaped : character === '[' ? brackets : undefined
    const text = (pattern && matchAt(pattern, source, at)?.[0]) ?? character
    at += text.length
    if (text === '(') groups.push(0)
    else {
      last = text === ')' && groups.length > 1 ? (groups.pop() ?? 0) + 1 : sizeOfPart(text)
      enlarge(last)
    }
  }
  return groups.reduce((sum, size) => sum + size, 0)
}

function sizeOfPart(text: string): number {
  if (text.startsWith('\\Q')) return text.length
  const classes = text.length < 3 ? 0 : text.split(/\\[pP]/).length - 1
  return classes === 0 ? 1 : unicodeClassSize + furtherClassSize * (classes - 1)
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at
  return pattern.exec(text) ?? undefined
}
