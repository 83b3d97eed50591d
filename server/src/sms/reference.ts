/** Returns the user_message_reference, which receipts echo: twelve bits of the log row, four of the part's index. */
export function referenceOf(logId: number, part: number): number {
  return (mixLogId(logId) % 4096) * 16 + (part % 16)
}

/**
 * Hashes a log row's id to sixteen bits. Each broadcast starts at a multiple of 2^14 and a phone has about the same offset
 * in each, so the ids themselves would repeat the references of a phone. `listUnknownRows` has the same formula in SQL.
 */
export function mixLogId(logId: number): number {
  return (logId % 65_536) ^ (Math.floor(logId / 16_384) % 65_536)
}
