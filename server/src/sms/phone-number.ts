// A phone number is ten digits, first digit 2 to 9, and inside the product a JS number (a bigint column in the
// database). Whether such a number exists is the look-up's business, not the parser's.

const TEN_DIGITS = /^[2-9][0-9]{9}$/
const WITH_COUNTRY_CODE = /^(?:\+?1)?([2-9][0-9]{9})$/
// Invisible format characters come along when a number is copied out of a handset's contacts.
const PUNCTUATION = /[\s\p{P}\p{Cf}]/gu

/**
 * The number that a person or client wrote, with any punctuation and with or without a leading 1 or +1, or undefined
 * when it is not ten digits of which the first is 2 to 9. A JSON number is taken as its digits.
 */
export function parsePhoneNumber(input: unknown): number | undefined {
  if (typeof input === 'number') return Number.isSafeInteger(input) ? fromSmppAddress(String(input)) : undefined
  if (typeof input !== 'string') return undefined
  if (TEN_DIGITS.test(input)) return Number(input)
  return fromSmppAddress(input.replace(PUNCTUATION, ''))
}

/** The ten digits, as the API shows them. */
export function formatPhoneNumber(phone: number): string {
  return String(phone)
}

/** The number in an SMPP source or destination address ("1" or "+1" and ten digits, or ten digits), or undefined. */
export function fromSmppAddress(address: string): number | undefined {
  const digits = WITH_COUNTRY_CODE.exec(address)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** The number as an SMPP address: "1" and the ten digits. */
export function toSmppAddress(phone: number): string {
  return `1${phone}`
}
