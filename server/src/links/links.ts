import type { Config } from '../config/config.ts'
import type { Db } from '../db/db.ts'
import { linkTokensOf, tokenLength } from './link-tokens.ts'
import { insertLinks, type LinkId, listLinkIds, reserveLinkIds } from './links.queries.ts'

// A tracked link is sent as a short URL that leads to it and identifies the recipient.

/** The path of short URLs, below their base. */
export const linkPath = '/l/'

/** Returns a text with the length and the characters of a recipient's short URL. */
export function sampleUrl(base: string): string {
  return base + linkPath + '0'.repeat(tokenLength)
}

/** Returns the short URL of one of a message's links for a phone; the link itself if it is not one of them. */
export type ShortUrls = (link: string, phone: number) => string

type Keyed = { config: Pick<Config, 'secretKey'> }

/** Returns the short URLs of these links; throws if this process has no secret key. */
export function shortUrls({ config }: Keyed, base: string, links: LinkId[]): ShortUrls {
  const tokens = linkTokensOf(config)
  if (!tokens) throw new Error('no secret key, short URLs cannot be written')
  const idOf = new Map(links.map(({ id, link }) => [link, id]))
  return (link, phone) => {
    const linkId = idOf.get(link)
    return linkId === undefined ? link : base + linkPath + tokens.write({ linkId, phone })
  }
}

/** Returns the short URLs of a message whose links were inserted when it was accepted; undefined if it has none. */
export async function readShortUrls(
  tx: Db,
  rt: Keyed,
  base: string | null,
  messageId: number,
): Promise<ShortUrls | undefined> {
  const links = base === null ? [] : await listLinkIds(tx, messageId)
  return base === null || links.length === 0 ? undefined : shortUrls(rt, base, links)
}

/** Inserts the links of a message in the transaction that accepts it. */
export async function storeLinks(tx: Db, messageId: number, links: string[]): Promise<void> {
  if (links.length > 0) await insertLinks(tx, messageId, await reserveLinkIds(tx, links))
}
