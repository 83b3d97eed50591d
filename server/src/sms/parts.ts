// Encodes a text as the octets of its parts, and decodes them (3GPP TS 23.038 alphabets, TS 23.040 §9.2.3.24 user data
// header).

import { decodeGsm7, encodeGsm7, fitsGsm7, septetsOf } from './gsm7.ts'
import { cutsSurrogatePair, decodeUcs2, encodeUcs2 } from './ucs2.ts'

export type Encoding = 'gsm7' | 'ucs2'

/** Fields of the submit_sm of one part. */
export type EncodedPart = {
  data_coding: 0 | 8
  esm_class: 0 | 0x40
  short_message: Buffer
  /** Concatenation fields, for parts without a user data header. */
  sar?: Concat
  /** The whole text, which the SMSC splits; short_message is then empty. */
  message_payload?: Buffer
}

/** The encoding that an SMSC requires. */
export type EncodingOptions = {
  /** The charset of data_coding 0. */
  charset: 'gsm7' | 'latin1'
  /** Form of a long text: parts with an 8-bit or a 16-bit reference, parts with sar fields, or one PDU with all of it. */
  longText: 'udh8' | 'udh16' | 'sar' | 'payload'
}

/** A concatenated message's reference (8 or 16 bits), its number of parts, and the number of this part from 1. */
export type Concat = { reference: number; total: number; sequence: number }

export type DecodedMessage = { text: string; concat?: Concat }

/** The number of parts in the user data header is one octet. */
export const MAX_PARTS = 255

// Capacity in septets or 16-bit units: 140 octets, minus six for the user data header if there are several parts, or minus
// seven with a 16-bit reference.
const CAPACITY = {
  gsm7: { single: 160, part: 153, widePart: 152 },
  ucs2: { single: 70, part: 67, widePart: 66 },
} as const
type PartKind = 'part' | 'widePart'

const defaults: EncodingOptions = { charset: 'gsm7', longText: 'udh8' }

const UDH_INDICATOR = 0x40
const GSM_DEFAULT = 0
const LATIN_1 = 3
const UCS_2 = 8

/**
 * Splits a text into its parts; one character outside GSM-7 makes the whole text UCS-2. Escape pairs and surrogate pairs
 * are never split. An empty text is one empty part. Throws a RangeError for a text of more than 255 parts.
 */
export function splitText(text: string): { encoding: Encoding; parts: string[] } {
  return cut(text, encodingOf(text), 'part')
}

function cut(text: string, encoding: Encoding, kind: PartKind): { encoding: Encoding; parts: string[] } {
  const ends = layOut(text, encoding, kind)
  let start = 0
  const parts = ends.map((end) => {
    const part = text.slice(start, end)
    start = end
    return part
  })
  return { encoding, parts }
}

/** Returns the number of parts that are sent and billed, and the encoding; throws as `splitText` does. */
export function countParts(text: string): { encoding: Encoding; partCount: number } {
  const encoding = encodingOf(text)
  return { encoding, partCount: layOut(text, encoding, 'part').length }
}

/**
 * Encodes each part for this SMSC. Parts have a header 05 00 03 ref total seq, or 06 08 04 ref ref total seq, or sar fields.
 * For any charset, a text is split for the handset, which receives GSM-7 or UCS-2.
 */
export function encodeParts(text: string, reference: number, options = defaults): EncodedPart[] {
  const { charset, longText } = options
  const encoding = charset === 'latin1' && !isLatin1(text) ? 'ucs2' : encodingOf(text)
  const { parts } = cut(text, encoding, longText === 'udh16' ? 'widePart' : 'part')
  const data_coding = encoding === 'gsm7' ? GSM_DEFAULT : UCS_2
  const encode = encoding === 'ucs2' ? encodeUcs2 : charset === 'latin1' ? encodeLatin1 : encodeGsm7
  if (parts.length === 1) return [{ data_coding, esm_class: 0, short_message: encode(text) }]
  if (longText === 'payload') {
    return [{ data_coding, esm_class: 0, short_message: Buffer.alloc(0), message_payload: encode(text) }]
  }
  return parts.map((part, index) => {
    const concat = { reference, total: parts.length, sequence: index + 1 }
    if (longText === 'sar') {
      // the SMSC writes the header: a one-octet reference permits the short header, for which the parts have capacity
      const sar = { ...concat, reference: reference & 0xff }
      return { data_coding, esm_class: 0, short_message: encode(part), sar }
    }
    const short_message = Buffer.concat([headerOf(concat, longText === 'udh16'), encode(part)])
    return { data_coding, esm_class: UDH_INDICATOR, short_message }
  })
}

function headerOf({ reference, total, sequence }: Concat, isWide: boolean): Buffer {
  const low = reference & 0xff
  if (!isWide) return Buffer.from([0x05, 0x00, 0x03, low, total, sequence])
  return Buffer.from([0x06, 0x08, 0x04, (reference >> 8) & 0xff, low, total, sequence])
}

const encodeLatin1 = (text: string) => Buffer.from(text, 'latin1')

/** Returns whether every character of the text is in Latin-1. */
function isLatin1(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) return false
  return true
}

/**
 * Decodes a short_message and never throws: a header that extends past the end is decoded as text, an unknown data_coding as
 * Latin-1. `charset` is the sender's charset of data_coding 0. NUL characters, which PostgreSQL cannot store, are removed;
 * an unpaired surrogate becomes U+FFFD.
 */
export function decodeShortMessage(
  bytes: Uint8Array,
  data_coding: number,
  esm_class: number,
  charset = defaults.charset,
): DecodedMessage {
  const header = esm_class & UDH_INDICATOR ? readUserDataHeader(bytes) : undefined
  const body = header ? bytes.subarray(header.length) : bytes
  const coding = data_coding === GSM_DEFAULT && charset === 'latin1' ? LATIN_1 : data_coding
  const text = decodeBody(body, coding).replaceAll('\0', '').toWellFormed()
  return header?.concat ? { text, concat: header.concat } : { text }
}

/**
 * Splits a short_message into its user data header, if it has one that is not longer than the message, and its text.
 * `isWhole` is false if the elements of the header do not fill it exactly.
 */
export function splitHeader(bytes: Uint8Array, esm_class: number) {
  const header = esm_class & UDH_INDICATOR ? readUserDataHeader(bytes) : undefined
  const length = header?.length ?? 0
  return { header: bytes.subarray(0, length), body: bytes.subarray(length), isWhole: header?.isWhole ?? true }
}

const encodingOf = (text: string): Encoding => (fitsGsm7(text) ? 'gsm7' : 'ucs2')

/** Returns the index after the last character of each part. */
function layOut(text: string, encoding: Encoding, kind: PartKind): number[] {
  const capacity = CAPACITY[encoding]
  if (lengthIn(encoding, text, capacity.single) <= capacity.single) return [text.length]
  const ends = encoding === 'gsm7' ? gsm7Ends(text, capacity[kind]) : ucs2Ends(text, capacity[kind])
  if (ends.length > MAX_PARTS)
    throw new RangeError(`a text of ${ends.length} parts exceeds the maximum of ${MAX_PARTS}`)
  return ends
}

/** Returns the length in septets or 16-bit units: exact up to `limit`; above it, any number greater than `limit`. */
function lengthIn(encoding: Encoding, text: string, limit: number): number {
  if (encoding === 'ucs2' || text.length > limit) return text.length
  let septets = 0
  for (let i = 0; i < text.length; i++) septets += septetsOf(text.charCodeAt(i))
  return septets
}

function gsm7Ends(text: string, capacity: number): number[] {
  const ends: number[] = []
  let used = 0
  for (let i = 0; i < text.length; i++) {
    const septets = septetsOf(text.charCodeAt(i))
    if (used + septets > capacity) {
      ends.push(i)
      used = 0
    }
    used += septets
  }
  ends.push(text.length)
  return ends
}

function ucs2Ends(text: string, capacity: number): number[] {
  const ends: number[] = []
  let end = 0
  while (text.length - end > capacity) {
    end += capacity
    if (cutsSurrogatePair(text, end)) end--
    ends.push(end)
  }
  ends.push(text.length)
  return ends
}

/** Lengths of the elements that headers of texts have: concatenation, ports, and the national language tables. */
const ELEMENT_LENGTHS = new Map([
  [0x00, 3],
  [0x04, 2],
  [0x05, 4],
  [0x08, 4],
  [0x24, 1],
  [0x25, 1],
])

/**
 * Returns whether a message begins with a header of known elements that fill it exactly. No text begins with such octets, so
 * it is a header even if the esm_class lacks its bit.
 */
export function startsWithHeader(bytes: Uint8Array): boolean {
  const length = (bytes[0] ?? 0) + 1
  if (length < 4 || length > bytes.length) return false
  let at = 1
  while (at + 1 < length) {
    if (ELEMENT_LENGTHS.get(bytes[at] as number) !== bytes[at + 1]) return false
    at += 2 + (bytes[at + 1] as number)
  }
  return at === length
}

type Header = { length: number; concat?: Concat; isWhole: boolean }

/**
 * Reads the header's length and its concatenation, and whether its elements fill it exactly. Returns undefined if the header
 * extends past the message, or if its elements do not fill it and its first octet is a printable character: it is a text then,
 * whose esm_class is wrong.
 */
function readUserDataHeader(bytes: Uint8Array): Header | undefined {
  const length = (bytes[0] ?? 0) + 1
  if (length > bytes.length) return undefined
  let concat: Concat | undefined
  let at = 1
  while (at + 1 < length) {
    const element = bytes[at]
    const value = bytes.subarray(at + 2, Math.min(at + 2 + (bytes[at + 1] ?? 0), length))
    // of a repeated element, the last one is valid (TS 23.040 §9.2.3.24)
    concat = readConcat(element, value) ?? concat
    at += 2 + (bytes[at + 1] ?? 0)
  }
  const isWhole = at === length
  if (!isWhole && length > 0x20) return undefined
  return concat ? { length, concat, isWhole } : { length, isWhole }
}

/** Element 0x00 has an 8-bit reference, 0x08 a 16-bit one; an invalid one is ignored, as §9.2.3.24.1 requires. */
function readConcat(element: number | undefined, value: Uint8Array): Concat | undefined {
  const wide = element === 0x08
  if (!wide && element !== 0x00) return undefined
  if (value.length !== (wide ? 4 : 3)) return undefined
  const [total = 0, sequence = 0] = value.subarray(-2)
  if (sequence === 0 || sequence > total) return undefined
  const reference = wide ? ((value[0] ?? 0) << 8) | (value[1] ?? 0) : (value[0] ?? 0)
  return { reference, total, sequence }
}

function decodeBody(bytes: Uint8Array, data_coding: number): string {
  const alphabet = alphabetOf(data_coding)
  if (alphabet === GSM_DEFAULT) return decodeGsm7(bytes)
  if (alphabet === UCS_2) return decodeUcs2(bytes)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/**
 * Values below 0x10 are defined by SMPP (SMPP 3.4 §5.2.19); ASCII (1) is the lower half of Latin-1. For values above, some
 * SMSCs use the handset's scheme (TS 23.038 §4): bits 3-2 name the alphabet below 0x80, 0xe0 is UCS-2, 0xf0 has bit 2.
 */
function alphabetOf(data_coding: number): typeof GSM_DEFAULT | typeof LATIN_1 | typeof UCS_2 {
  if (data_coding < 0x10) return data_coding === GSM_DEFAULT || data_coding === UCS_2 ? data_coding : LATIN_1
  if (data_coding < 0x80) {
    const bits = (data_coding >> 2) & 3
    return bits === 0 ? GSM_DEFAULT : bits === 2 ? UCS_2 : LATIN_1
  }
  if (data_coding >= 0xf0) return data_coding & 0x04 ? LATIN_1 : GSM_DEFAULT
  if (data_coding >= 0xe0) return UCS_2
  return data_coding >= 0xc0 ? GSM_DEFAULT : LATIN_1
}
