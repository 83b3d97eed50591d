import type { Logger } from 'pino'
import type { Db } from '../../db/db.ts'
import { isBadValue } from '../../db/pg-errors.ts'
import { isErrorOfData } from '../../db/probe.ts'
import { Batcher } from '../../lib/batcher.ts'
import { type Attempt, insertAttempts } from '../../log/attempts.queries.ts'
import { timing } from '../timing.ts'

const { attemptBatchMs } = timing

/** Further attempts are dropped while this many wait for a database that is unavailable; counters do not depend on them. */
const maxWaiting = 20_000

/** Records failed attempts, which only explanations of texts use; a loss is tolerable. */
export class Attempts {
  readonly #batcher: Batcher<Attempt>

  constructor(db: Db, log: Logger) {
    this.#batcher = new Batcher<Attempt>({
      size: 500,
      maxDelayMs: attemptBatchMs,
      writers: () => 1,
      write: (batch) => insertAttempts(db, batch),
      onFailure: (error) => log.debug({ err: error }, 'failed to record attempts, retrying'),
      isPermanent: isBadValue,
      isOwn: (error) => isErrorOfData(db, error),
      onDropped: (attempt, error) => log.warn({ err: error, row: attempt.logId }, 'failed to record an attempt'),
    })
  }

  add(attempt: Attempt): void {
    if (this.#batcher.pending < maxWaiting) this.#batcher.add(attempt)
  }

  flushed(): Promise<void> {
    return this.#batcher.flushed()
  }
}
