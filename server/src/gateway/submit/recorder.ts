import { isBadValue } from '../../db/pg-errors.ts'
import { isErrorOfData } from '../../db/probe.ts'
import { retryLostRaces } from '../../db/retry.ts'
import { Batcher } from '../../lib/batcher.ts'
import type { Chunk } from '../../log/chunk.ts'
import { type Accepted, markSent, markUnknown, type Rejected } from '../../log/marks.queries.ts'
import { queueForLater } from '../../log/retry.queries.ts'
import { byConnection } from '../../receipts/receipts.ts'
import { recordRejected } from '../../receipts/rejections.ts'
import type { Runtime } from '../../runtime.ts'
import { timing } from '../timing.ts'

const { recordBatchMs } = timing

type Entry<T> = T & { day: string; recorded: () => void }
type AcceptedBy = Accepted & { connectionId: number }
type Delayed = { logId: number; chunk: Chunk; afterMs: number }

/**
 * Rows per statement. Smaller batches cost more commits; larger ones leave more texts unknown if the process dies. The best
 * values measured were 250 to 500.
 */
const batchSize = 400

/** Records the outcomes of texts in batches, and retries while the database is unavailable. */
export class Recorder {
  readonly #accepted: Batcher<Entry<AcceptedBy>>
  readonly #rejected: Batcher<Entry<Rejected>>
  readonly #unknown: Batcher<Entry<{ logId: number }>>
  readonly #delayed: Batcher<Entry<Delayed>>
  // by SMSC id that is being recorded: the callbacks of the receipts that wait for it
  readonly #pendingIds = new Map<string, Array<() => void>>()

  /** `writers` returns the maximum number of concurrent statements that record accepted texts. */
  constructor(rt: Pick<Runtime, 'db' | 'clock' | 'log'>, writers: () => number) {
    const { db, clock, log } = rt
    const batcher = <T extends { logId: number }>(
      write: (day: string, batch: T[]) => Promise<unknown>,
      maxWriters = () => 1,
    ) =>
      new Batcher<Entry<T>>({
        size: batchSize,
        maxDelayMs: recordBatchMs,
        writers: maxWriters,
        async write(batch) {
          for (const [day, entries] of byDay(batch)) await retryLostRaces(() => write(day, entries))
          for (const entry of batch) entry.recorded()
        },
        onFailure: (error) => log.warn({ err: error }, 'failed to record outcomes of texts, retrying'),
        isPermanent: isBadValue,
        isOwn: (error) => isErrorOfData(db, error),
        onDropped(entry, error) {
          log.error({ err: error, row: entry.logId }, 'outcome of a text cannot be recorded; it ends as unknown')
          entry.recorded()
        },
      })
    this.#accepted = batcher(async (day, batch) => {
      for (const [connectionId, parts] of byConnection(batch)) await markSent(db, day, connectionId, parts)
    }, writers)
    this.#rejected = batcher((day, batch) => recordRejected(rt, day, batch))
    this.#unknown = batcher((day, batch) =>
      markUnknown(
        db,
        day,
        batch.map((row) => row.logId),
      ),
    )
    this.#delayed = batcher(async (_, batch) => {
      for (const [chunk, entries] of Map.groupBy(batch, (entry) => entry.chunk)) {
        const dueAt = new Date(clock.now().getTime() + Math.max(...entries.map((entry) => entry.afterMs)))
        await queueForLater(
          db,
          chunk,
          entries.map((entry) => entry.logId),
          dueAt,
        )
      }
    })
  }

  /** Requeues a text that was rejected with a temporary error, in a chunk of its own that is due after the delay. */
  delayed(entry: Entry<Delayed>): void {
    this.#delayed.add(entry)
  }

  /** Records that a part was accepted; `recorded` is called when that is durable. */
  accepted(entry: Entry<AcceptedBy>): void {
    const { recorded } = entry
    const key = `${entry.connectionId} ${entry.smscId}`
    const waiting: Array<() => void> = []
    this.#pendingIds.set(key, waiting)
    entry.recorded = () => {
      if (this.#pendingIds.get(key) === waiting) this.#pendingIds.delete(key)
      recorded()
      for (const callback of waiting) callback()
    }
    this.#accepted.add(entry)
  }

  /** Records that a text was rejected permanently. */
  rejected(entry: Entry<Rejected>): void {
    this.#rejected.add(entry)
  }

  /** Records that a text was submitted without a response. */
  unknown(entry: Entry<{ logId: number }>): void {
    this.#unknown.add(entry)
  }

  /**
   * Calls `callback` immediately, unless this SMSC id has been received and is being recorded; then it calls it when the id is in
   * the database. Receipts often arrive while the id is being recorded.
   */
  whenRecorded(connectionId: number, smscId: string, callback: () => void): void {
    const waiting = this.#pendingIds.get(`${connectionId} ${smscId}`)
    if (waiting) waiting.push(callback)
    else callback()
  }

  /** Resolves when all outcomes added so far are durable. */
  async flushed(): Promise<void> {
    await Promise.all([
      this.#accepted.flushed(),
      this.#rejected.flushed(),
      this.#unknown.flushed(),
      this.#delayed.flushed(),
    ])
  }
}

function byDay<T extends { logId: number }>(batch: Entry<T>[]): Array<[string, Entry<T>[]]> {
  const days = new Map<string, Entry<T>[]>()
  for (const entry of batch) {
    const entries = days.get(entry.day)
    if (entries) entries.push(entry)
    else days.set(entry.day, [entry])
  }
  // in ascending order of ids, so that two batches cannot deadlock
  for (const entries of days.values()) entries.sort((a, b) => a.logId - b.logId)
  return [...days]
}
