import { setTimeout as delay } from 'node:timers/promises'
import type { Db } from '../../db/db.ts'
import {
  findLastAttemptId,
  findTailEnd,
  listNewAttempts,
  type NewAttempt,
  type TailFilter,
} from './attempts.queries.ts'

const pollMs = 500

/**
 * Attempts are committed in another order than that of their ids, by all workers, so those with ids somewhat below the last one
 * are read again: a batch of a worker has at most 500.
 */
const overlap = 2_000
const pageSize = 4_000

/** Yields each attempt that is recorded from now on, once, until the signal aborts. */
export async function* followAttempts(db: Db, filter: TailFilter, stopped: AbortSignal): AsyncGenerator<NewAttempt> {
  const first = await findLastAttemptId(db)
  let last = first
  let seen = new Set<number>()
  while (!stopped.aborted) {
    const after = Math.max(first, last - overlap)
    // the end does not depend on the filter: attempts that it does not select are compared once, and in the overlap
    const end = await findTailEnd(db, after, pageSize)
    last = Math.max(last, end.last)
    const rows = end.count === 0 ? [] : await listNewAttempts(db, filter, { after, last })
    for (const attempt of rows) if (!seen.has(attempt.id)) yield attempt
    seen = new Set(rows.map(({ id }) => id).filter((id) => id > last - overlap))
    if (end.count < pageSize) await delay(pollMs, undefined, { signal: stopped }).catch(() => {})
  }
}
