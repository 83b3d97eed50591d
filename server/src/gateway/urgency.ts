import { timing } from './timing.ts'

const { urgentRecentMs } = timing

/**
 * Maximum concurrent statements that record outcomes, and of those that record receipts. Two are faster than one, but take the
 * database's time from urgent texts (measured on two cores with `npm run bench -- broadcast` and `-- mixed`).
 */
const maxWriters = 2
const maxWritersBesideUrgent = 1

/** When urgent texts were last marked: broadcasts leave them window slots and time of the database for a while. */
export class Urgency {
  #markedAt = Number.NEGATIVE_INFINITY

  /** Notes that an urgent text is marked at this time (monotonic milliseconds). */
  note(now: number): void {
    this.#markedAt = now
  }

  /** Returns whether an urgent text was marked recently, so that others are likely. */
  isRecent(now: number): boolean {
    return now - this.#markedAt < urgentRecentMs
  }

  /** Returns the maximum number of concurrent statements that record outcomes, or receipts. */
  writers(now: number): number {
    return this.isRecent(now) ? maxWritersBesideUrgent : maxWriters
  }
}
