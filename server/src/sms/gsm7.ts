// The GSM 7-bit default alphabet and its extension table (3GPP TS 23.038 §6.2.1), in the form of SMPP: one septet per octet,
// top bit clear. The SMSC packs eight septets into seven octets.

const ESCAPE = 0x1b

/** Septets 0x00 to 0x7f in order; index 0x1b (escape) has a space, which the real space overrides. */
const BASIC =
  '@£$¥èéùìòÇ\nØø\rÅå' +
  'Δ_ΦΓΛΩΠΨΣΘΞ ÆæßÉ' +
  ' !"#¤%&\'()*+,-./' +
  '0123456789:;<=>?' +
  '¡ABCDEFGHIJKLMNO' +
  'PQRSTUVWXYZÄÖÑÜ§' +
  '¿abcdefghijklmno' +
  'pqrstuvwxyzäöñüà'

const EXTENSION: readonly (readonly [septet: number, character: string])[] = [
  [0x0a, '\f'],
  [0x14, '^'],
  [0x28, '{'],
  [0x29, '}'],
  [0x2f, '\\'],
  [0x3c, '['],
  [0x3d, '~'],
  [0x3e, ']'],
  [0x40, '|'],
  [0x65, '€'],
]

// One array lookup per character, because every recipient's text is checked. The euro sign is the highest code unit of
// the set.
const MISSING = 0xffff
const ESCAPED = 0x100
const septetByUnit = new Uint16Array('€'.charCodeAt(0) + 1).fill(MISSING)
for (let septet = 0; septet < BASIC.length; septet++) septetByUnit[BASIC.charCodeAt(septet)] = septet
for (const [septet, character] of EXTENSION) septetByUnit[character.charCodeAt(0)] = ESCAPED | septet

const extensionBySeptet = new Map(EXTENSION)

/** Returns the number of septets of this UTF-16 code unit: 1, 2 with its escape, or 0 if it is not in the alphabet. */
export function septetsOf(codeUnit: number): 0 | 1 | 2 {
  const entry = septetByUnit[codeUnit] ?? MISSING
  if (entry === MISSING) return 0
  return entry < ESCAPED ? 1 : 2
}

/** Returns whether every character of the text is in GSM-7. */
export function fitsGsm7(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if ((septetByUnit[text.charCodeAt(i)] ?? MISSING) === MISSING) return false
  }
  return true
}

/** Encodes a text as unpacked septets; throws a RangeError for a character that is not in the alphabet. */
export function encodeGsm7(text: string): Buffer {
  const septets = Buffer.allocUnsafe(text.length * 2)
  let length = 0
  for (let i = 0; i < text.length; i++) {
    const entry = septetByUnit[text.charCodeAt(i)] ?? MISSING
    if (entry === MISSING) throw new RangeError(`the character at ${i} is not in GSM-7`)
    if (entry >= ESCAPED) septets[length++] = ESCAPE
    septets[length++] = entry & 0x7f
  }
  return septets.subarray(0, length)
}

/**
 * Decodes unpacked septets. An escape before a septet that is not in the extension table becomes that septet's basic
 * character, as TS 23.038 requires of a handset without the table. Octets above 0x7f, which only an SMSC with Latin-1 as its
 * default alphabet sends, are decoded as Latin-1.
 */
export function decodeGsm7(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i++) {
    let octet = bytes[i] ?? 0
    if (octet === ESCAPE) {
      const next = bytes[++i]
      if (next === undefined || next === ESCAPE) {
        text += ' '
        continue
      }
      const extended = extensionBySeptet.get(next)
      if (extended !== undefined) {
        text += extended
        continue
      }
      octet = next
    }
    text += octet < 0x80 ? BASIC.charAt(octet) : String.fromCharCode(octet)
  }
  return text
}

/** Unpacks septets that are packed as on the radio interface (TS 23.038 §6.1.2.1): eight in seven octets. */
export function unpackSeptets(bytes: Uint8Array): Buffer {
  const septets = Buffer.alloc(Math.floor((bytes.length * 8) / 7))
  for (let n = 0; n < septets.length; n++) {
    const bit = n * 7
    const pair = (bytes[bit >> 3] ?? 0) | ((bytes[(bit >> 3) + 1] ?? 0) << 8)
    septets[n] = (pair >> (bit & 7)) & 0x7f
  }
  return septets
}
