import { type LinkPiece, parseTemplate, type Template } from './merge-tags.ts'

// Characters that a URL in a text may have; a brace begins a merge tag.
const linkIn = /https?:\/\/[^\s<>"{}|\\^`\p{Cc}\p{Cf}]+/giu
const closing: Record<string, string> = { ')': '(', ']': '[' }

/** Returns a template whose links are pieces, and its different links in their order. */
export function splitLinks(template: Template): { template: Template; links: string[] } {
  const pieces = template.pieces.flatMap((piece): Template['pieces'] =>
    typeof piece === 'string' ? cutLinks(piece) : [piece],
  )
  const links = pieces.flatMap((piece) => (typeof piece === 'object' && 'link' in piece ? [piece.link] : []))
  return { template: { pieces, tags: template.tags }, links: [...new Set(links)] }
}

/** Returns the different links of content, in their order. */
export function linksIn(content: string): string[] {
  return splitLinks(parseTemplate(content)).links
}

/** Returns the links that a merge tag is a part of: they differ between recipients. */
export function linksWithTags({ pieces }: Template): string[] {
  return pieces.flatMap((piece, n) => {
    const next = pieces[n + 1]
    if (typeof piece !== 'string' || next === undefined || typeof next === 'string') return []
    const last = [...piece.matchAll(linkIn)].at(-1) ?? /https?:\/\/$/i.exec(piece)
    return last && last.index + last[0].length === piece.length ? [last[0]] : []
  })
}

/** Splits a text at its links. Punctuation at the end of a link belongs to the sentence, as do brackets that were not opened in it. */
function cutLinks(text: string): (string | LinkPiece)[] {
  const parts: (string | LinkPiece)[] = []
  let end = 0
  for (const match of text.matchAll(linkIn)) {
    const link = withoutPunctuation(match[0])
    if (!isLink(link)) continue
    if (match.index > end) parts.push(text.slice(end, match.index))
    parts.push({ link })
    end = match.index + link.length
  }
  if (end < text.length) parts.push(text.slice(end))
  return parts
}

function withoutPunctuation(url: string): string {
  let end = url.length
  for (; end > 0; end--) {
    const last = url.charAt(end - 1)
    const opening = closing[last]
    const isUnopened = opening !== undefined && count(url, last, end) > count(url, opening, end)
    if (!isUnopened && !/[.,;:!?'"*_~…’”]/.test(last)) break
  }
  return url.slice(0, end)
}

const count = (text: string, character: string, end: number) => text.slice(0, end).split(character).length - 1

/** Returns whether a browser can open it, without a user name, which hides the host from a reader. */
function isLink(url: string): boolean {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  return parsed !== undefined && parsed.host !== '' && parsed.username === ''
}
