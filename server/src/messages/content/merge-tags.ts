// `Hi {first_name}`, `Your team: {team|the pantry}`: words in braces that stand for what a list knows of each recipient.
// A text is read once; values go in as they are and are never read again, so nobody's name can be a tag.

/** A tag in a text. `fallback` is what its writer wants said of people of whom the list does not know it. */
export type Tag = { name: string; fallback: string | undefined }

/** A text as it is sent to everybody, but for its tags. */
export type Template = { pieces: (string | Tag)[]; tags: Tag[] }

// Words in braces, with or without a fall-back. Other braces are taken for what they are: `{50% off}`, `:-{`.
const tagAt = /\{ {0,9}([\p{L}\p{N}_][\p{L}\p{N}_ -]{0,99}?) {0,9}(?:\|([^{}]*))?\}/uy

/**
 * Reads a text. `\{` is a brace that begins no tag. The names are told as they are written, in lower case; who reads
 * knows which there are.
 */
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

/** Whether a text is the same for everybody, letter for letter. */
export function isPlain(content: string): boolean {
  return !content.includes('{') || (!content.includes('\\{') && parseTemplate(content).tags.length === 0)
}

/** The text of one recipient. */
export function render(template: Template, said: (tag: Tag) => string): string {
  let text = ''
  for (const piece of template.pieces) text += typeof piece === 'string' ? piece : said(piece)
  return text
}

/** A tag as its writer would write it. */
export const tagText = (tag: Tag) => `{${tag.name}}`

/** Tags in two pairs of braces, as other products write them; here they would leave a pair in the text. */
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

/** A value as it may stand in a text: one line, no control characters, nothing around it. */
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
