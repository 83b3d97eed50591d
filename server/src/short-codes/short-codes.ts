import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { findShortCode, type ShortCode } from './short-codes.queries.ts'

/** The account's short code of this spelling; a foreign or unknown one is not found. */
export async function getShortCode(db: Db, accountId: number, code: string): Promise<ShortCode> {
  const shortCode = await findShortCode(db, accountId, code)
  if (!shortCode) throw errors.shortCodeNotFound()
  return shortCode
}
