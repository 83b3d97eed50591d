/** Positions from the first to the last one. */
export type PositionRange = { first: number; last: number }

// The database has the same bound (1300_events.sql). A restore continues with the microseconds since 1970, which reach it in 2112.
const firstTest = 2 ** 52

/** The positions of the events of the feed, which the sequencer numbers. */
export const feedPositions: PositionRange = { first: 1, last: firstTest - 1 }

/** The positions of test events, which are in no order and have gaps. */
export const testPositions: PositionRange = { first: firstTest, last: Number.MAX_SAFE_INTEGER }
