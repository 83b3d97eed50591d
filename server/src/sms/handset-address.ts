import { fromSmppAddress } from './phone-number.ts'

// white space, punctuation, invisible characters, and the NULs and other control characters of padded fields
const DECORATION = /[\s\p{P}\p{C}]/gu
// the prefixes of an international number: 00 in most countries, also padded with zeros, and 011 in North America
const INTERNATIONAL = /^(?:0{0,4}|011)1(?=\d{10}$)/u

/**
 * Parses the address of a handset as a carrier writes it: national or international, with any international prefix, leading
 * zeros, punctuation or padding; returns undefined if it is no phone number. Lenient, because a rejected address would lose a
 * STOP.
 */
export function fromHandsetAddress(address: string): number | undefined {
  const exact = fromSmppAddress(address)
  if (exact !== undefined) return exact
  const bare = address
    .replace(/^\s*(?:tel|sms):/iu, '')
    .replace(DECORATION, '')
    .replace(/^\+/u, '')
  return fromSmppAddress(bare.replace(INTERNATIONAL, '')) ?? fromSmppAddress(bare.replace(/^0(?=\d{10}$)/u, ''))
}
