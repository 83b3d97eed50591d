import type { Logger } from 'pino'
import type { Db } from '../../db/db.ts'
import { isBadValue } from '../../db/pg-errors.ts'
import { Batcher } from '../../lib/batcher.ts'
import { type Attempt, insertAttempts } from '../../log/attempts.queries.ts'
import { timing } from '../timing.ts'

const { attemptBatchMs } = timing

/** More than these wait only while the database is away for long; the books do not need them. */
const mostWaiting = 20_000

/** Writes down the tries that came to nothing, for whoever asks where a text is. Nothing waits for it. */
export class Attempts {
  readonly #batcher: Batcher<Attempt>

  constructor(db: Db, log: Logger) {
    this.#batcher = new Batcher<Attempt>({
      size: 500,
      maxDelayMs: attemptBatchMs,
      writers: 1,
      write: (batch) => insertAttempts(db, batch),
      onFailure: (error) => log.debug({ err: error }, 'could not write down tries, trying again'),
      isPermanent: isBadValue,
      giveUp: (attempt, error) => log.warn({ err: error, row: attempt.logId }, 'a try cannot be written down'),
    })
  }

  add(attempt: Attempt): void {
    if (this.#batcher.pending < mostWaiting) this.#batcher.add(attempt)
  }

  flushed(): Promise<void> {
    return this.#batcher.flushed()
  }
}
