import { findAccount } from '../accounts/accounts.queries.ts'
import { carrierId, carrierName } from '../carriers/carriers.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { readDate } from '../lib/dates.ts'
import { type Page, type PageOf, slicePage } from '../lib/paging.ts'
import { deleteRate, listRates, type NewRate, type Rate, upsertRate } from './rates.queries.ts'

const decimal = /^\d{1,4}(?:\.\d{1,6})?$/

/** Parses a price in dollars with up to four digits and six decimal digits; returns undefined for any other string. */
export function readPrice(text: string): string | undefined {
  const plain = text.trim().replace(/^\$/, '')
  return decimal.test(plain) ? plain : undefined
}

/** Returns the id of the carrier with this id or name; undefined if the carrier is unknown. */
export function readCarrier(text: string): number | undefined {
  if (!/^\d{1,9}$/.test(text.trim())) return carrierId(text)
  const id = Number(text)
  return carrierName(id) === undefined ? undefined : id
}

/** Parses the first day of a rate to YYYY-MM-DD; returns undefined for any other string. */
export const readSince = readDate

/** Returns a page of all rates: rates for all accounts first, and the latest of each kind first. */
export async function getRatePage(db: Db, page: Page): Promise<PageOf<Rate>> {
  return slicePage(await listRates(db), page)
}

/** Inserts a rate, or updates the one with the same scope and first day; throws a 422 if its account does not exist. */
export async function setRate(db: Db, rate: NewRate): Promise<Rate> {
  if (rate.accountId !== null && !(await findAccount(db, rate.accountId))) {
    throw errors.invalid({ 'rate.account_id': ['must be the id of an account'] })
  }
  return upsertRate(db, rate)
}

/** Deletes a rate that was set by mistake; throws a 404 if it does not exist. */
export async function removeRate(db: Db, id: number): Promise<void> {
  if ((await deleteRate(db, id)) === 0) throw errors.rateNotFound()
}
