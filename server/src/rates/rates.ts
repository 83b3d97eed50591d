import { carrierId, carrierName } from '../carriers/carriers.ts'
import { readDate } from '../lib/dates.ts'

const decimal = /^\d{1,4}(?:\.\d{1,6})?$/

/** A price as people write it, in dollars: up to four digits and six after the point; undefined for anything else. */
export function readPrice(text: string): string | undefined {
  const plain = text.trim().replace(/^\$/, '')
  return decimal.test(plain) ? plain : undefined
}

/** A carrier by its number or its name; undefined for one that the table of carriers lacks. */
export function readCarrier(text: string): number | undefined {
  if (!/^\d{1,9}$/.test(text.trim())) return carrierId(text)
  const id = Number(text)
  return carrierName(id) === undefined ? undefined : id
}

/** The day from which on a rate holds, as YYYY-MM-DD. */
export const readSince = readDate
