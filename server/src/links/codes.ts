import type { Db } from '../db/db.ts'
import { insertCodes, type LinkCode } from './codes.queries.ts'

// A link of a fundraising page has a code that the page returns with each donation, so that the donation can be attributed to the
// message.

/** The parameters of a link that are codes. */
const parameters = ['refcode', 'utm_campaign'] as const
/** The maximum length of the codes of a donation. */
const maxLength = 191

/** Returns the codes of links, each with the first link that has it. */
export function codesIn(links: string[]): LinkCode[] {
  const codes = new Map<string, LinkCode>()
  for (const [position, link] of links.entries()) {
    const { searchParams } = new URL(link)
    for (const kind of parameters) {
      for (const code of searchParams.getAll(kind)) {
        const isCode = code.trim() !== '' && code.length <= maxLength && !code.includes('\0')
        if (isCode && !codes.has(`${kind} ${code}`)) codes.set(`${kind} ${code}`, { kind, code, link, position })
      }
    }
  }
  return [...codes.values()]
}

/** Inserts the codes of a message in the transaction that accepts it. */
export async function storeCodes(tx: Db, messageId: number, links: string[]): Promise<void> {
  const codes = codesIn(links)
  if (codes.length > 0) await insertCodes(tx, messageId, codes)
}
