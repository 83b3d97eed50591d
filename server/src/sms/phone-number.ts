// A phone number is ten digits, the first from 2 to 9; in code it is a JS number, in the database a bigint. The parser
// does not check whether the number exists; the look-up does.

const TEN_DIGITS = /^[2-9][0-9]{9}$/
const WITH_COUNTRY_CODE = /^(?:\+?1)?([2-9][0-9]{9})$/
// a number copied from a handset's contacts contains invisible format characters
const PUNCTUATION = /[\s\p{P}\p{Cf}]/gu

/**
 * Parses a phone number with any punctuation and with or without a leading 1 or +1; returns undefined unless it has ten
 * digits, the first from 2 to 9. A JSON number is parsed by its digits.
 */
export function parsePhoneNumber(input: unknown): number | undefined {
  if (typeof input === 'number') return Number.isSafeInteger(input) ? fromSmppAddress(String(input)) : undefined
  if (typeof input !== 'string') return undefined
  if (TEN_DIGITS.test(input)) return Number(input)
  return fromSmppAddress(input.replace(PUNCTUATION, ''))
}

/** Formats a phone number as ten digits, the form of the API. */
export function formatPhoneNumber(phone: number): string {
  return String(phone)
}

/** Parses an SMPP address ("1" or "+1" and ten digits, or ten digits); returns undefined for any other. */
export function fromSmppAddress(address: string): number | undefined {
  const digits = WITH_COUNTRY_CODE.exec(address)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** Formats a phone number as an SMPP address: "1" and the ten digits. */
export function toSmppAddress(phone: number): string {
  return `1${phone}`
}
