// From a text to the octets of its parts, and back (3GPP TS 23.038 alphabets, TS 23.040 §9.2.3.24 user data header).

import { decodeGsm7, encodeGsm7, fitsGsm7, septetsOf } from './gsm7.ts'
import { cutsSurrogatePair, decodeUcs2, encodeUcs2 } from './ucs2.ts'

export type Encoding = 'gsm7' | 'ucs2'

/** What one submit_sm carries, in the spelling of its fields. */
export type EncodedPart = { data_coding: 0 | 8; esm_class: 0 | 0x40; short_message: Buffer }

/** A concatenated message's reference (8 or 16 bits), how many parts it has, and which of them this is, from 1. */
export type Concat = { reference: number; total: number; sequence: number }

export type DecodedMessage = { text: string; concat?: Concat }

/** The total in the user data header is one octet. */
export const MAX_PARTS = 255

// In septets and in 16-bit units: 140 octets, less the six of the user data header once there is more than one part.
const ROOM = { gsm7: { single: 160, part: 153 }, ucs2: { single: 70, part: 67 } } as const

const UDH_INDICATOR = 0x40
const GSM_DEFAULT = 0
const LATIN_1 = 3
const UCS_2 = 8

/**
 * Cuts a text into the parts it is sent as; one character that GSM-7 lacks makes all of it UCS-2. An escape pair or a
 * surrogate pair is never cut. An empty text is one empty part. Throws a RangeError for a text of more than 255 parts.
 */
export function splitText(text: string): { encoding: Encoding; parts: string[] } {
  const { encoding, ends } = layOut(text)
  let start = 0
  const parts = ends.map((end) => {
    const part = text.slice(start, end)
    start = end
    return part
  })
  return { encoding, parts }
}

/** How many parts the text is sent (and billed) as, and in which encoding; throws as `splitText` does. */
export function countParts(text: string): { encoding: Encoding; partCount: number } {
  const { encoding, ends } = layOut(text)
  return { encoding, partCount: ends.length }
}

/** The octets of each part; with more than one, each begins with the concatenation header 05 00 03 ref total seq. */
export function encodeParts(text: string, reference: number): EncodedPart[] {
  const { encoding, parts } = splitText(text)
  const data_coding = encoding === 'gsm7' ? GSM_DEFAULT : UCS_2
  const encode = encoding === 'gsm7' ? encodeGsm7 : encodeUcs2
  if (parts.length === 1) return [{ data_coding, esm_class: 0, short_message: encode(text) }]
  return parts.map((part, index) => {
    const header = Buffer.from([0x05, 0x00, 0x03, reference & 0xff, parts.length, index + 1])
    return { data_coding, esm_class: UDH_INDICATOR, short_message: Buffer.concat([header, encode(part)]) }
  })
}

/**
 * Reads a short_message as far as it can be read, and never throws: a header that runs past the end is read as text, an
 * unknown coding as Latin-1. NUL characters, which PostgreSQL cannot store, are left out; half a surrogate pair becomes
 * U+FFFD.
 */
export function decodeShortMessage(bytes: Uint8Array, data_coding: number, esm_class: number): DecodedMessage {
  const header = esm_class & UDH_INDICATOR ? readUserDataHeader(bytes) : undefined
  const body = header ? bytes.subarray(header.length) : bytes
  const text = decodeBody(body, data_coding).replaceAll('\0', '').toWellFormed()
  return header?.concat ? { text, concat: header.concat } : { text }
}

/** The encoding, and the index after the last character of each part. */
function layOut(text: string): { encoding: Encoding; ends: number[] } {
  const encoding: Encoding = fitsGsm7(text) ? 'gsm7' : 'ucs2'
  const room = ROOM[encoding]
  if (lengthIn(encoding, text, room.single) <= room.single) return { encoding, ends: [text.length] }
  const ends = encoding === 'gsm7' ? gsm7Ends(text, room.part) : ucs2Ends(text, room.part)
  if (ends.length > MAX_PARTS) throw new RangeError(`a text of ${ends.length} parts; ${MAX_PARTS} is the most`)
  return { encoding, ends }
}

/** The length in septets or 16-bit units, exact up to `enough` and merely greater beyond it. */
function lengthIn(encoding: Encoding, text: string, enough: number): number {
  if (encoding === 'ucs2' || text.length > enough) return text.length
  let septets = 0
  for (let i = 0; i < text.length; i++) septets += septetsOf(text.charCodeAt(i))
  return septets
}

function gsm7Ends(text: string, room: number): number[] {
  const ends: number[] = []
  let used = 0
  for (let i = 0; i < text.length; i++) {
    const septets = septetsOf(text.charCodeAt(i))
    if (used + septets > room) {
      ends.push(i)
      used = 0
    }
    used += septets
  }
  ends.push(text.length)
  return ends
}

function ucs2Ends(text: string, room: number): number[] {
  const ends: number[] = []
  let end = 0
  while (text.length - end > room) {
    end += room
    if (cutsSurrogatePair(text, end)) end--
    ends.push(end)
  }
  ends.push(text.length)
  return ends
}

/** The header's whole length and what it says of concatenation, or undefined when it does not fit the message. */
function readUserDataHeader(bytes: Uint8Array): { length: number; concat?: Concat } | undefined {
  const length = (bytes[0] ?? 0) + 1
  if (length > bytes.length) return undefined
  let concat: Concat | undefined
  for (let at = 1; at + 1 < length; ) {
    const element = bytes[at]
    const value = bytes.subarray(at + 2, Math.min(at + 2 + (bytes[at + 1] ?? 0), length))
    // The last one counts when an element comes twice (TS 23.040 §9.2.3.24).
    concat = readConcat(element, value) ?? concat
    at += 2 + (bytes[at + 1] ?? 0)
  }
  return concat ? { length, concat } : { length }
}

/** Element 0x00 has an 8-bit reference, 0x08 a 16-bit one; one that cannot be true is ignored, as §9.2.3.24.1 says. */
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
 * Values below 0x10 are SMPP's own (SMPP 3.4 §5.2.19), ASCII (1) being the lower half of Latin-1. Above, some SMSCs pass
 * the handset's scheme through (TS 23.038 §4): bits 3-2 name the alphabet below 0x80, 0xe0 is UCS-2, 0xf0 has bit 2.
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
