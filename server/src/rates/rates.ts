import { findAccount } from '../accounts/accounts.queries.ts'
import { carrierId, carrierName } from '../carriers/carriers.ts'
import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { readDate } from '../lib/dates.ts'
import { type Page, type PageOf, slicePage } from '../lib/paging.ts'
import { deleteRate, listRates, type NewRate, type Rate, upsertRate } from './rates.queries.ts'

const decimal = /^\d{1,4}(?:\.\d{1,6})?$/

/** A price in dollars with up to four digits and six decimal digits; undefined for any other text. */
export function readPrice(text: string): string | undefined {
  const plain = text.trim().replace(/^\$/, '')
  return decimal.test(plain) ? plain : undefined
}

/** The id of a carrier by its number or its name; undefined for an unknown carrier. */
export function readCarrier(text: string): number | undefined {
  if (!/^\d{1,9}$/.test(text.trim())) return carrierId(text)
  const id = Number(text)
  return carrierName(id) === undefined ? undefined : id
}

/** The first day of a rate, as YYYY-MM-DD; undefined for any other text. */
export const readSince = readDate

/** A page of all rates: those for all accounts first, the latest of each kind first. */
export async function getRatePage(db: Db, page: Page): Promise<PageOf<Rate>> {
  return slicePage(await listRates(db), page)
}

/** Adds a rate, or corrects the one that begins on the same day; throws when it names an account that does not exist. */
export async function setRate(db: Db, rate: NewRate): Promise<Rate> {
  if (rate.accountId !== null && !(await findAccount(db, rate.accountId))) {
    throw errors.invalid({ 'rate.account_id': ['is not the id of an account'] })
  }
  return upsertRate(db, rate)
}

/** Deletes a rate that was never valid; throws when there is no such rate. */
export async function removeRate(db: Db, id: number): Promise<void> {
  if ((await deleteRate(db, id)) === 0) throw errors.rateNotFound()
}
