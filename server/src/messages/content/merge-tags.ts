// Merge tags: `Hi {first_name}`, `Your team: {team|the pantry}`. The content is parsed once and values are inserted
// afterwards, so a value such as a name is never parsed as a tag.

/** A merge tag. `fallback` is the text for recipients without a value. */
export type Tag = { name: string; fallback: string | undefined }

/** Parsed content: plain pieces and tags in order. */
export type Template = { pieces: (string | Tag)[]; tags: Tag[] }

// Words in braces, with or without a fallback. Other braces are plain text: `{50% off}`, `:-{`.
const tagAt = /\{ {0,9}([\p{L}\p{N}_][\p{L}\p{N}_ -]{0,99}?) {0,9}(?:\|([^{}]*))?\}/uy

/** Parses content. `\{` is a plain brace. Tag names become lower case; the caller decides which ones exist. */
export function parseTemplate(content: string): Template {
  const pieces: (string | Tag)[] = []
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

/** Returns the text for one recipient. */
export function render(template: Template, valueFor: (tag: Tag) => string): string {
  let text = ''
  for (const piece of template.pieces) text += typeof piece === 'string' ? piece : valueFor(piece)
  return text
}

/** Returns a tag as it is written in content, without its fallback. */
export const tagText = (tag: Tag) => `{${tag.name}}`

/**
 * Returns the tags in two pairs of braces, which other products require; here the outer pair would stay in the text.
 */
export function doubledTags(template: Template): Tag[] {
  const { pieces } = template
  return template.tags.filter((tag) => {
    const at = pieces.indexOf(tag)
    const [before, after] = [pieces[at - 1], pieces[at + 1]]
    return typeof before === 'string' && before.endsWith('{') && typeof after === 'string' && after.startsWith('}')
  })
}

// control characters, and the two line breaks of Unicode
const breaks = /[\p{Cc}\u2028\u2029]+/gu

/** Returns a value cleaned for a text: one line, without control characters, trimmed. */
export function cleanValue(value: string): string {
  return value.replace(breaks, ' ').trim()
}

function readTag(content: string, at: number): { tag: Tag; end: number } | undefined {
  tagAt.lastIndex = at
  const match = tagAt.exec(content)
  if (!match) return undefined
  const [whole, name = '', fallback] = match
  return { tag: { name: name.toLowerCase(), fallback: fallback?.trim() }, end: at + whole.length }
}
