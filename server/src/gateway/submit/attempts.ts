import type { Logger } from 'pino'
import type { Db } from '../../db/db.ts'
import { isBadValue } from '../../db/pg-errors.ts'
import { Batcher } from '../../lib/batcher.ts'
import { type Attempt, insertAttempts } from '../../log/attempts.queries.ts'
import { timing } from '../timing.ts'

const { attemptBatchMs } = timing

/** More than these wait only while the database is away for long; counters do not depend on them. */
const mostWaiting = 20_000

/** Records failed attempts for the explanation of a text. Nothing waits for it. */
export class Attempts {
  readonly #batcher: Batcher<Attempt>

  constructor(db: Db, log: Logger) {
    this.#batcher = new Batcher<Attempt>({
      size: 500,
      maxDelayMs: attemptBatchMs,
      writers: 1,
      write: (batch) => insertAttempts(db, batch),
      onFailure: (error) => log.debug({ err: error }, 'failed to record attempts, retrying'),
      isPermanent: isBadValue,
      onDropped: (attempt, error) => log.warn({ err: error, row: attempt.logId }, 'attempt cannot be recorded'),
    })
  }

  add(attempt: Attempt): void {
    if (this.#batcher.pending < mostWaiting) this.#batcher.add(attempt)
  }

  flushed(): Promise<void> {
    return this.#batcher.flushed()
  }
}
