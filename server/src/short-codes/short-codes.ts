import type { Db } from '../db/db.ts'
import { violates } from '../db/pg-errors.ts'
import { errors } from '../errors.ts'
import { findShortCode, insertShortCode, type ShortCode } from './short-codes.queries.ts'

/**
 * A sender address as it is kept: a short code of three to six digits, or a ten-digit or toll-free number without its
 * country code; undefined when it is none of these.
 */
export function parseShortCode(text: string): string | undefined {
  const digits = text.replace(/[\s().-]/g, '').replace(/^\+?1(?=[2-9]\d{9}$)/, '')
  return /^(?:\d{3,6}|[2-9]\d{9})$/.test(digits) ? digits : undefined
}

/** Gives the account a short code; one short code has one owner, whoever was faster. */
export async function addShortCode(db: Db, accountId: number, code: string): Promise<ShortCode> {
  try {
    return await db.tx((tx) => insertShortCode(tx, accountId, code))
  } catch (error) {
    throw violates(error, 'short_codes_code_key') ? errors.shortCodeTaken() : error
  }
}

/** The account's short code of this spelling; a foreign or unknown one is not found. */
export async function getShortCode(db: Db, accountId: number, code: string): Promise<ShortCode> {
  const shortCode = await findShortCode(db, accountId, code)
  if (!shortCode) throw errors.shortCodeNotFound()
  return shortCode
}
