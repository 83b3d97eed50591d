import { isAscii, isUtf8 } from 'node:buffer'
import { decodeWindows1252 } from '../lib/windows-1252.ts'

// Converts the bytes of a file to UTF-8, which the readers expect. Bytes that have no certain meaning remain as they are:
// the readers decode them to U+FFFD, so that they cost only the cell that contains them.

const newline = 0x0a
const carriageReturn = 0x0d

/** Returns the name of the encoding that a byte order mark states. */
function markedEncoding(start: Buffer): 'utf-16le' | 'utf-16be' | undefined {
  if (start[0] === 0xff && start[1] === 0xfe) return 'utf-16le'
  return start[0] === 0xfe && start[1] === 0xff ? 'utf-16be' : undefined
}

/** Yields the text of a file in UTF-8. `start` is a copy of its first bytes; `charset` is the encoding that its sender stated. */
export async function* toUtf8(
  bytes: AsyncIterable<Buffer>,
  start: Buffer,
  charset: 'windows-1252' | undefined,
): AsyncGenerator<Buffer> {
  const wide = markedEncoding(start)
  if (wide) yield* fromUtf16(bytes, wide)
  else yield* fromMixed(bytes, lineEndOf(start), charset === 'windows-1252' ? () => true : isCertainly1252)
}

async function* fromUtf16(bytes: AsyncIterable<Buffer>, encoding: string): AsyncGenerator<Buffer> {
  const decoder = new TextDecoder(encoding)
  for await (const chunk of bytes) {
    const text = decoder.decode(chunk, { stream: true })
    if (text !== '') yield Buffer.from(text)
  }
  const rest = decoder.decode()
  if (rest !== '') yield Buffer.from(rest)
}

/** Returns the last byte of the lines of a file; files of old Macintoshes have no other line end than CR. */
function lineEndOf(start: Buffer): number {
  return !start.includes(newline) && start.includes(carriageReturn) ? carriageReturn : newline
}

/** Converts the lines that are not UTF-8 from Windows-1252, if `is1252` permits it. Files from two sources contain both. */
async function* fromMixed(
  bytes: AsyncIterable<Buffer>,
  lineEnd: number,
  is1252: (text: string) => boolean,
): AsyncGenerator<Buffer> {
  const convert = (line: Buffer) => {
    if (isUtf8(line)) return line
    const text = decodeWindows1252(line)
    return is1252(text) ? Buffer.from(text) : line
  }
  let partial: Buffer = Buffer.alloc(0)
  for await (const chunk of bytes) {
    if (partial.length === 0 && isAscii(chunk)) {
      yield chunk
      continue
    }
    const whole = partial.length === 0 ? chunk : Buffer.concat([partial, chunk])
    // without a line end, a part of a file is converted by itself: the readers reject it as too long anyway
    const end = whole.lastIndexOf(lineEnd) + 1 || (whole.length > maxLine ? whole.length : 0)
    partial = Buffer.from(whole.subarray(end))
    const lines = whole.subarray(0, end)
    if (isUtf8(lines)) {
      if (end > 0) yield lines
      continue
    }
    const converted: Buffer[] = []
    for (let from = 0; from < end; ) {
      const next = lines.indexOf(lineEnd, from) + 1 || end
      converted.push(convert(lines.subarray(from, next)))
      from = next
    }
    yield Buffer.concat(converted)
  }
  if (partial.length > 0) yield convert(partial)
}

const maxLine = 262_144

// letters of Western European languages, and the marks that Windows programs type by themselves
const letter = /[A-Za-zÀ-ÖØ-öø-ÿ]/
const certain = /^[\0-\x7f\xa0-\xff\u20ac\u2026\u2018\u2019\u201c\u201d\u2013\u2014\u2022\u2122]*$/
const lettersInARow = /[À-ÖØ-öø-ÿ]{3}/
const markBetweenLetters =
  /[A-Za-zÀ-ÿ][\xa1-\xa9\xab-\xb9\xbb-\xbf×÷\u20ac\u2026\u2018\u201c\u201d\u2013\u2014\u2022\u2122][A-Za-zÀ-ÿ]/
const quoteInWord = /[a-zà-ÿ]\u2019(?!(?:s|t|re|ll|ve|d|m)\b)[a-zà-ÿ]/

/**
 * Returns whether a line, decoded as Windows-1252, is hardly any other single-byte encoding: Cyrillic and Greek words are rows of
 * letters above ASCII, and in the encodings of DOS, the old Macintosh and Central Europe, the letters of names are at the
 * places of marks.
 */
export function isCertainly1252(text: string): boolean {
  return (
    certain.test(text) &&
    letter.test(text) &&
    !lettersInARow.test(text) &&
    !markBetweenLetters.test(text) &&
    !quoteInWord.test(text)
  )
}
