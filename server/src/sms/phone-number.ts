// A phone number is ten digits, the first from 2 to 9; in code it is a JS number, in the database a bigint. The parser
// does not check whether the number exists; the look-up does. It accepts every spelling that stands for one number only,
// because a wrong guess sends a text to a stranger.

const TEN_DIGITS = /^[2-9][0-9]{9}$/
// 00 and 011 are the prefixes of international calls in Europe and in North America
const WITH_COUNTRY_CODE = /^(?:\+?1|001|0111)?([2-9][0-9]{9})$/
// a number copied from a handset's contacts contains invisible format characters; \u2212 and its kin are minus signs
const PUNCTUATION = /[\s\p{P}\p{Cf}\u02d7\u207b\u2212\u2796]/gu
const SURROUNDINGS = /^[\s\p{Cf}'"‘’“”]+|[\s\p{Cf}'"‘’“”]+$/gu
// ="…" prevents that Excel shows a number in scientific notation
const FORMULA = /^=["“”]?([^"“”]*)["“”]?$/
const SCHEME = /^(?:tel|sms|smsto|callto|whatsapp|p):/i
const FULL_WIDTH = /[\uff0b\uff0c\uff0e\uff10-\uff19]/g
// the form of domain registries (RFC 5733)
const REGISTRY = /^\+1\.[2-9][0-9]{9}$/

/**
 * Parses a phone number with any punctuation and with or without a country code; returns undefined unless it has ten
 * digits, the first from 2 to 9. A decimal fraction is ignored if it is zero; with any other, the result is undefined.
 */
export function parsePhoneNumber(input: unknown): number | undefined {
  if (typeof input === 'number') return Number.isSafeInteger(input) ? fromSmppAddress(String(input)) : undefined
  if (typeof input !== 'string') return undefined
  if (TEN_DIGITS.test(input)) return Number(input)
  // no number is that long, and patterns must not run over a whole file
  if (input.length > MAX_LENGTH) return undefined
  const integer = withoutFraction(withoutSurroundings(input))
  return integer === undefined ? undefined : fromSmppAddress(integer.replace(PUNCTUATION, ''))
}

const MAX_LENGTH = 100

function withoutSurroundings(input: string): string {
  const text = input
    .replace(FULL_WIDTH, (character) => String.fromCharCode(character.charCodeAt(0) - 0xfee0))
    .replace(SURROUNDINGS, '')
  return (FORMULA.exec(text)?.[1] ?? text).replace(SURROUNDINGS, '').replace(SCHEME, '').replace(SURROUNDINGS, '')
}

const SCIENTIFIC = /^\+?(\d+)(?:[.,](\d*))?e\+?(\d{1,2})$/i
const LAST_SEPARATOR = /^(.*)([.,٫])\s*(\d*)[\s\p{P}\p{Cf}]*$/su

/** Returns undefined if the text is a decimal number with a fraction, or one in scientific notation with digits missing. */
function withoutFraction(text: string): string | undefined {
  const scientific = SCIENTIFIC.exec(text)
  if (scientific) {
    const [, units = '', decimals = '', exponent] = scientific
    const places = Number(exponent)
    // 2.06771E+09 is a number whose last digits a spreadsheet has removed
    return decimals.length >= places
      ? zeroFraction(units + decimals.slice(0, places), decimals.slice(places))
      : undefined
  }
  const [, head, separator, digits] = LAST_SEPARATOR.exec(text) ?? []
  if (head === undefined || separator === undefined || digits === undefined || REGISTRY.test(text)) return text
  if (isSeparator(head, separator, digits)) return text
  const integer = zeroFraction(head, digits)
  return integer === undefined ? undefined : withoutFraction(integer)
}

/** Returns whether the last dot or comma of a number separates groups of its digits, as in 206.555.0102. */
function isSeparator(head: string, separator: string, digits: string): boolean {
  if (/^\+?\d*$/.test(head)) return false
  const others = head.match(/[.,٫]/g) ?? []
  if (others.some((other) => other !== separator)) return false
  // 2.065.550.102 is a number with separators of thousands, in which the groups have three digits
  return digits.length === 4 || (digits.length === 3 && others.length === 2)
}

function zeroFraction(integer: string, fraction: string): string | undefined {
  return /^0*$/.test(fraction) ? integer : undefined
}

/** Formats a phone number as ten digits, the form of the API. */
export function formatPhoneNumber(phone: number): string {
  return String(phone)
}

/** Parses an SMPP address: ten digits, or with "1", "+1", "001" or "0111" before them; returns undefined for any other. */
export function fromSmppAddress(address: string): number | undefined {
  const digits = WITH_COUNTRY_CODE.exec(address)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** Formats a phone number as an SMPP address: "1" and the ten digits. */
export function toSmppAddress(phone: number): string {
  return `1${phone}`
}
