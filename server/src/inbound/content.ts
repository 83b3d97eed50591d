// Carriers confuse encodings: UCS-2 under data_coding 0, ASCII under data_coding 8, packed septets. A STOP must count in all of
// them, so an MO is read in each encoding in which it is an opt-out or help word, or obviously a text.

import { decodeGsm7, unpackSeptets } from '../sms/gsm7.ts'
import { type Concat, decodeShortMessage, splitHeader, startsWithHeader } from '../sms/parts.ts'
import { decodeUcs2 } from '../sms/ucs2.ts'
import { parseBareWord } from './words.ts'

export type InboundContent = {
  content: string
  /** The user data header; null if the MO has none. */
  udh: Buffer | null
  /** The concatenation in that header. */
  concat: Concat | undefined
}

const UDH_INDICATOR = 0x40
const UCS_2 = 8

/** Decodes the octets of an MO; never throws. `charset` is that of the connection for data_coding 0. */
export function readContent(
  octets: Buffer,
  dataCoding: number,
  esmClass: number,
  charset: 'gsm7' | 'latin1',
): InboundContent {
  const esm = esmClass | (startsWithHeader(octets) ? UDH_INDICATOR : 0)
  const { header, body, isWhole } = splitHeader(octets, esm)
  const declared = decodeShortMessage(octets, dataCoding, esm, charset)
  const content = chooseText(declared.text, Buffer.from(body), dataCoding)
  if (!isWhole && !declared.concat && parseBareWord(content) === 'other') {
    // the octets of the malformed header may be the text
    const { text } = decodeShortMessage(octets, dataCoding, 0, charset)
    const whole = chooseText(text, octets, dataCoding)
    if (parseBareWord(whole) !== 'other') return { content: whole, udh: null, concat: undefined }
  }
  return { content, udh: header.length > 0 ? Buffer.from(header) : null, concat: declared.concat }
}

function chooseText(declared: string, body: Buffer, dataCoding: number): string {
  if (parseBareWord(declared) !== 'other' || body.length < 2) return declared
  const readings = [
    decodeUcs2(body),
    littleEndian(body),
    body.toString('utf8'),
    decodeGsm7(body),
    decodeGsm7(unpackSeptets(body)),
  ].map((text) => text.replaceAll('\0', '').toWellFormed())
  const word = readings.find((text) => parseBareWord(text) !== 'other')
  if (word !== undefined) return word
  const [bigEndian, little] = readings as [string, string]
  if (dataCoding !== UCS_2 && isUcs2Of(body, 0)) return bigEndian
  if (isUcs2Of(body, 1)) return little
  if (dataCoding === UCS_2 && body.length >= 4 && body.every(isPrintable)) return body.toString('latin1')
  return declared
}

function littleEndian(body: Buffer): string {
  return body.subarray(0, body.length & ~1).toString('utf16le')
}

/** Returns whether every second octet, from `zeros`, is 0 and the others are printable: Latin letters in UCS-2. */
function isUcs2Of(body: Buffer, zeros: 0 | 1): boolean {
  if (body.length < 4 || body.length % 2 !== 0) return false
  return body.every((octet, index) => (index % 2 === zeros ? octet === 0 : isPrintable(octet) || octet >= 0xa0))
}

function isPrintable(octet: number): boolean {
  return (octet >= 0x20 && octet < 0x7f) || octet === 0x0a || octet === 0x0d
}
