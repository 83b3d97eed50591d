import { Type } from 'typebox'
import { Count, Id } from '../http/schema.ts'
import { linksIn } from './content/tracked-links.ts'
import type { MessageView } from './messages.queries.ts'

const extension = { 'x-extension': true }

/** The keys of a message about the links in its content. */
export const linkKeys = {
  track_links: Type.Optional(
    Type.Literal(true, { description: 'Its links are sent as short URLs that count clicks.', ...extension }),
  ),
  tracking_links: Type.Optional(
    Type.Array(
      Type.Object(
        {
          link: Type.String({ description: 'A link of the content.' }),
          click_count: Count('Requests of its short URLs, of people and machines.'),
          unique_click_count: Count('Recipients whose short URL was requested.'),
          human_click_count: Type.Integer({ ...Count('Requests that no rule attributes to a machine.'), ...extension }),
          unique_human_click_count: Type.Integer({ ...Count('Recipients with such a request.'), ...extension }),
        },
        { title: 'TrackingLink' },
      ),
      { description: 'Present only if the content has links that are tracked.' },
    ),
  ),
  message_links: Type.Optional(
    Type.Array(
      Type.Object(
        {
          id: Id('Identifies the link.'),
          link: Type.String(),
          count: Count('The clicks that we know: those of a tracked link, otherwise 0. Bitly has its own count.'),
          display_count: Count('The same number.'),
        },
        { title: 'MessageLink' },
      ),
      { description: 'Present only if the content has bit.ly links.' },
    ),
  ),
}

/** Presents the links of a message; those of a draft have no clicks. */
export function presentLinks(message: MessageView) {
  const tracked = message.linkBase === null ? [] : trackedLinks(message)
  const bitly = bitlyLinks(message, tracked)
  return {
    ...(message.linkBase === null ? {} : { track_links: true as const }),
    ...(tracked.length > 0 ? { tracking_links: tracked } : {}),
    ...(bitly.length > 0 ? { message_links: bitly } : {}),
  }
}

function trackedLinks({ content, links }: MessageView) {
  const none = { clicks: 0, unique: 0, human: 0, uniqueHuman: 0 }
  const counted = links ?? linksIn(content).map((link) => ({ link, ...none }))
  return counted.map(({ link, clicks, unique, human, uniqueHuman }) => ({
    link,
    click_count: clicks,
    unique_click_count: unique,
    human_click_count: human,
    unique_human_click_count: uniqueHuman,
  }))
}

// with and without a scheme, as people write them
const bitlyIn = /(?<![\w.-])(?:https?:\/\/)?(?:www\.)?bit\.ly\/[\w-]+/gi
const idsPerMessage = 1_000

function bitlyLinks({ id, content }: MessageView, tracked: { link: string; click_count: number }[]) {
  return [...new Set(content.match(bitlyIn))].map((found, n) => {
    const count = tracked.find(({ link }) => link === found)?.click_count ?? 0
    const link = /^http/i.test(found) ? found : `https://${found}`
    return { id: id * idsPerMessage + n + 1, link, count, display_count: count }
  })
}
