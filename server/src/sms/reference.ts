/** What a carrier may echo in a receipt: twelve bits for the log row, four of the part's number (from 0). */
export function referenceOf(logId: number, part: number): number {
  return (mixLogId(logId) % 4096) * 16 + (part % 16)
}

/**
 * Sixteen bits for a log row. Each broadcast begins at a multiple of 2^14, and a handset has about the same place in each:
 * its texts must differ all the same. `listUnknownRows` computes the same in SQL.
 */
export function mixLogId(logId: number): number {
  return (logId % 65_536) ^ (Math.floor(logId / 16_384) % 65_536)
}
