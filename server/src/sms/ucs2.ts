// UCS-2 of SMS (3GPP TS 23.038 §6.2.3): big-endian UTF-16 code units; an emoji is a surrogate pair.

/** Encodes a text as big-endian UTF-16. */
export function encodeUcs2(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16()
}

/** Decodes big-endian UTF-16; an odd last octet is half a character and is dropped. */
export function decodeUcs2(bytes: Uint8Array): string {
  const whole = bytes.length - (bytes.length % 2)
  return Buffer.from(bytes.subarray(0, whole)).swap16().toString('utf16le')
}

/** Returns whether a split before `index` would separate a surrogate pair. */
export function cutsSurrogatePair(text: string, index: number): boolean {
  return isBetween(text.charCodeAt(index - 1), 0xd800, 0xdbff) && isBetween(text.charCodeAt(index), 0xdc00, 0xdfff)
}

function isBetween(codeUnit: number, low: number, high: number): boolean {
  return codeUnit >= low && codeUnit <= high
}
