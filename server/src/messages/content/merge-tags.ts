// Merge tags: `Hi {first_name}`, `Your team: {team|the pantry}`. The content is parsed once and values are inserted
// afterwards, so a value such as a name is never parsed as a tag.

/** A merge tag. `fallback` is the text for recipients without a value. */
export type Tag = { name: string; fallback: string | undefined }

/** A link that is sent as a short URL. */
export type LinkPiece = { link: string }

/** Parsed content: plain pieces, tags and tracked links in order. */
export type Template = { pieces: (string | Tag | LinkPiece)[]; tags: Tag[] }

// Words in braces, with or without a fallback. Other braces are plain text: `{50% off}`, `:-{`. Validation rejects those
// that look like a tag.
const tagAt = /\{ {0,9}([\p{L}\p{N}_][\p{L}\p{N}_ -]{0,99}?) {0,9}(?:\|([^{}]*))?\}/uy

/** Parses content. `\{` is a plain brace. Tag names become lower case; the caller decides which ones exist. */
export function parseTemplate(content: string): Template {
  const pieces: Template['pieces'] = []
  const tags: Tag[] = []
  let plain = ''
  for (let at = 0; at < content.length; ) {
    const character = content.charAt(at)
    if (character === '\\' && content.charAt(at + 1) === '{') {
      plain += '{'
      at += 2
      continue
    }
    const tag = character === '{' ? readTag(content, at) : undefined
    if (tag) {
      if (plain !== '') pieces.push(plain)
      plain = ''
      pieces.push(tag.tag)
      tags.push(tag.tag)
      at = tag.end
    } else {
      plain += character
      at++
    }
  }
  if (plain !== '') pieces.push(plain)
  return { pieces, tags }
}

/** Returns whether the content is sent unchanged to all recipients. */
export function isPlain(content: string): boolean {
  return !content.includes('{') || (!content.includes('\\{') && parseTemplate(content).tags.length === 0)
}

/**
 * Returns the text for one recipient. The text ends with the piece with which it becomes longer than `longest` UTF-16
 * units, so that a text that is too long to be sent costs no more than one that is sent.
 */
export function render(
  template: Template,
  valueFor: (tag: Tag) => string,
  longest: number = Number.POSITIVE_INFINITY,
  urlOf: (link: string) => string = (link) => link,
): string {
  let text = ''
  for (const piece of template.pieces) {
    if (typeof piece === 'string') text += piece
    else text += 'link' in piece ? urlOf(piece.link) : valueFor(piece)
    if (text.length > longest) break
  }
  return text
}

/** Returns a tag as it is written in content, without its fallback. */
export const tagText = (tag: Tag) => `{${tag.name}}`

/** Braces that look like a merge tag and are not one; `doubled` are tags in two pairs of braces. */
export type TagFaults = { doubled: string[]; malformed: string[] }

// A brace before a word: a tag that is not closed, is nested or dotted, or has a template language's sign. Text that was
// copied from a web page or a document can have invisible characters between the two.
const tagLikeAt = /\{[\s\p{Cc}\p{Cf}\p{M}]*(?:[$#%@*./][\s\p{Cc}\p{Cf}\p{M}]*)?(?:[\p{L}_]|\p{N}+[\p{L}_])/uy
const tagStartAt = /\{[\s\p{Cc}\p{Cf}\p{M}]*[$#%@*./]?[\p{L}\p{N}_.-]*/uy
const nameAtEnd = /[\p{L}\p{N}]*_[\p{L}\p{N}_]*$/u
const longestExcerpt = 60

/**
 * Returns the tags in two pairs of braces, which other products require, and the braces that were meant as a tag: here
 * they would stay in the text. A brace after a backslash, and one that is not beside a word, is plain text.
 */
export function findTagFaults(content: string): TagFaults {
  const doubled = new Set<string>()
  const malformed = new Set<string>()
  let openBraces = 0
  let afterTag = -1
  for (let at = 0; at < content.length; at++) {
    const character = content.charAt(at)
    if (character === '\\' && content.charAt(at + 1) === '{') {
      openBraces++
      at++
    } else if (character === '{') {
      const tag = readTag(content, at)
      const inner = tag ? undefined : readTag(content, nextBrace(content, at))
      if (tag) {
        afterTag = tag.end
        at = tag.end - 1
      } else if (inner && /^\s*\}/.test(content.slice(inner.end, inner.end + longestExcerpt))) {
        doubled.add(tagText(inner.tag))
        at = content.indexOf('}', inner.end)
      } else {
        if (inner) malformed.add(content.slice(at, inner.end))
        else if (matchesAt(tagLikeAt, content, at)) malformed.add(excerptAt(content, at))
        openBraces++
      }
    } else if (character === '}') {
      const name = nameAtEnd.exec(content.slice(Math.max(0, at - longestExcerpt), at))?.[0]
      if (openBraces > 0) openBraces--
      else if (at === afterTag) malformed.add(content.slice(content.lastIndexOf('{', at), at + 1))
      else if (name !== undefined) malformed.add(`${name}}`)
    }
  }
  return { doubled: [...doubled], malformed: [...malformed] }
}

// control characters, and the two line breaks of Unicode
const breaks = /[\p{Cc}\u2028\u2029]+/gu
// Format characters, which are invisible: direction marks such as U+202E reverse the rest of the text. The two joiners
// remain, because emoji and Indic scripts need them, and so do the tag characters in the flags of England and Scotland.
const invisible = /(?!\u200C|\u200D|[\u{E0020}-\u{E007F}])\p{Cf}/gu

/** Returns a value cleaned for a text: one line, without control, direction and other invisible characters, trimmed. */
export function cleanValue(value: string): string {
  return value.replace(breaks, ' ').replace(invisible, '').toWellFormed().trim()
}

function readTag(content: string, at: number): { tag: Tag; end: number } | undefined {
  if (at < 0) return undefined
  tagAt.lastIndex = at
  const match = tagAt.exec(content)
  if (!match) return undefined
  const [whole, name = '', fallback] = match
  return { tag: { name: name.toLowerCase(), fallback: fallback?.trim() }, end: at + whole.length }
}

/** Returns the index of the brace that follows the one at `at`, possibly after blanks; -1 for none. */
function nextBrace(content: string, at: number): number {
  const blanks = /^\s*/.exec(content.slice(at + 1, at + 1 + longestExcerpt))?.[0].length ?? 0
  return content.charAt(at + 1 + blanks) === '{' ? at + 1 + blanks : -1
}

function matchesAt(pattern: RegExp, content: string, at: number): boolean {
  pattern.lastIndex = at
  return pattern.test(content)
}

/** Returns the braces at `at` with all that is in them, or only their first word if they are not closed nearby. */
function excerptAt(content: string, at: number): string {
  let depth = 0
  for (let end = at; end < Math.min(content.length, at + longestExcerpt); end++) {
    if (content.charAt(end) === '{') depth++
    else if (content.charAt(end) === '}' && --depth === 0) return content.slice(at, end + 1)
  }
  tagStartAt.lastIndex = at
  return (tagStartAt.exec(content)?.[0] ?? '{').slice(0, longestExcerpt)
}
