import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Config } from '../config/config.ts'

// A link to a file works without a key until it expires: spreadsheet programs and scripts open it without a key.

/** Validity of a link that a request returns. */
export const linkMs = 3_600_000

type Keyed = Pick<Config, 'secretKey'>

/** Returns the query that makes a path work for some time; undefined if this process has no secret key. */
export function signPath({ secretKey }: Keyed, path: string, now: Date, validMs: number = linkMs): string | undefined {
  if (!secretKey) return undefined
  const expires = Math.ceil((now.getTime() + validMs) / 1_000)
  return `expires=${expires}&signature=${signatureOf(secretKey.reveal(), path, expires)}`
}

/** Returns whether a path has a signature of this installation that has not expired. */
export function isSigned({ secretKey }: Keyed, path: string, query: SignedQuery, now: Date): boolean {
  const { expires, signature } = query
  if (!secretKey || typeof expires !== 'string' || typeof signature !== 'string' || !/^\d{1,12}$/.test(expires))
    return false
  if (Number(expires) * 1_000 < now.getTime()) return false
  const expected = Buffer.from(signatureOf(secretKey.reveal(), path, Number(expires)))
  const given = Buffer.from(signature)
  return given.length === expected.length && timingSafeEqual(given, expected)
}

export type SignedQuery = { expires?: unknown; signature?: unknown }

function signatureOf(secretKey: string, path: string, expires: number): string {
  const key = createHmac('sha256', Buffer.from(secretKey, 'hex')).update('links to files').digest()
  return createHmac('sha256', key).update(`${path}\n${expires}`).digest('base64url')
}
