import type { Db } from '../db/db.ts'
import { violates } from '../db/pg-errors.ts'
import { errors } from '../errors.ts'
import { findShortCode, insertShortCode, type ShortCode } from './short-codes.queries.ts'

/**
 * Parses a sender address: a short code of three to six digits, or a ten-digit or toll-free number, returned without its
 * country code. Returns undefined for any other string.
 */
export function parseShortCode(address: string): string | undefined {
  const digits = address.replace(/[\s().-]/g, '').replace(/^\+?1(?=[2-9]\d{9}$)/, '')
  return /^(?:\d{3,6}|[2-9]\d{9})$/.test(digits) ? digits : undefined
}

/** Adds a short code to the account; throws a 422 if an account has it. Only one of two concurrent calls succeeds. */
export async function addShortCode(db: Db, accountId: number, code: string, now: Date): Promise<ShortCode> {
  try {
    return await db.tx((tx) => insertShortCode(tx, accountId, code, now))
  } catch (error) {
    throw violates(error, 'short_codes_code_key') ? errors.shortCodeTaken() : error
  }
}

/** Returns the account's short code; throws a 404 if it is unknown or belongs to another account. */
export async function getShortCode(db: Db, accountId: number, code: string): Promise<ShortCode> {
  const shortCode = await findShortCode(db, accountId, code)
  if (!shortCode) throw errors.shortCodeNotFound()
  return shortCode
}
