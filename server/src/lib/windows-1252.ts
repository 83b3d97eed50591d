const characters = [...new TextDecoder('windows-1252').decode(Uint8Array.from({ length: 256 }, (_, byte) => byte))]

/** Decodes Windows-1252; faster than TextDecoder for the short lines and values of which a request may have many. */
export function decodeWindows1252(bytes: Iterable<number>): string {
  let text = ''
  for (const byte of bytes) text += characters[byte]
  return text
}
