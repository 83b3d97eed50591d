import type { Db } from '../db/db.ts'
import { isBadValue } from '../db/pg-errors.ts'
import { isErrorOfData } from '../db/probe.ts'
import { retryLostRaces } from '../db/retry.ts'
import { Batcher } from '../lib/batcher.ts'
import type { AppliedReceipt } from '../log/receipt.ts'
import { applyReceipts, listLogDays } from '../log/receipts.queries.ts'
import type { Runtime } from '../runtime.ts'
import { optOutByCarrier, splitOptOuts } from './carrier-opt-outs.ts'
import {
  insertUnreadReceipts,
  insertWaitingReceipts,
  type UnreadReceipt,
  type WaitingReceipt,
} from './waiting.queries.ts'

type Entry = WaitingReceipt & { onDurable: () => void }
type UnreadEntry = UnreadReceipt & { onDurable: () => void }

/** Applies receipts to their log rows in batches, and stores those whose rows are not known yet. */
export class ReceiptBatcher {
  readonly #rt: Pick<Runtime, 'db' | 'clock' | 'log'>
  readonly #batcher: Batcher<Entry>
  readonly #unread: Batcher<UnreadEntry>
  #days: string[] = []

  /** `writers` returns the maximum number of concurrent statements. */
  constructor(rt: Pick<Runtime, 'db' | 'clock' | 'log'>, writers: () => number) {
    this.#rt = rt
    this.#batcher = this.#makeBatcher((batch) => this.#apply(batch), writers)
    this.#unread = this.#makeBatcher((batch) => insertUnreadReceipts(rt.db, batch), writers)
  }

  #makeBatcher<T extends Entry | UnreadEntry>(write: (batch: T[]) => Promise<void>, writers: () => number): Batcher<T> {
    const { log } = this.#rt
    return new Batcher<T>({
      size: 400,
      maxDelayMs: 5,
      writers,
      write: async (batch) => {
        await write(batch)
        for (const entry of batch) entry.onDurable()
      },
      onFailure: (error) => log.warn({ err: error }, 'failed to record receipts, retrying'),
      isPermanent: isBadValue,
      isOwn: (error) => isErrorOfData(this.#rt.db, error),
      onDropped(entry, error) {
        log.error({ err: error, connection: entry.connectionId }, 'receipt lost, it cannot be stored')
        entry.onDurable()
      },
    })
  }

  /**
   * Calls `onDurable` when the receipt is applied or stored, or if PostgreSQL rejects its values, in which case it is lost and an
   * error is logged.
   */
  add(receipt: WaitingReceipt, onDurable: () => void): void {
    this.#batcher.add({ ...receipt, onDurable })
  }

  /** Stores a receipt that cannot be read as an orphan, for operators, and calls `onDurable` as `add` does. */
  addUnread(receipt: UnreadReceipt, onDurable: () => void): void {
    this.#unread.add({ ...receipt, onDurable })
  }

  /** Resolves when all receipts added so far are durable. */
  async flushed(): Promise<void> {
    await Promise.all([this.#batcher.flushed(), this.#unread.flushed()])
  }

  async #apply(batch: Entry[]): Promise<void> {
    try {
      await this.#applyOrStore(batch)
    } catch (error) {
      // the partition of a day may have been dropped
      this.#days = []
      throw error
    }
  }

  async #applyOrStore(batch: Entry[]): Promise<void> {
    let unknown: Entry[] = batch
    for (const day of this.#days) unknown = await this.#applyDay(day, unknown)
    if (unknown.length > 0) {
      // the texts may belong to a day that is not in the list yet
      const before = new Set(this.#days)
      this.#days = await listLogDays(this.#rt.db)
      for (const day of this.#days) if (!before.has(day)) unknown = await this.#applyDay(day, unknown)
    }
    if (unknown.length > 0) await insertWaitingReceipts(this.#rt.db, unknown)
  }

  /** Applies the receipts for texts of one day and returns the others. */
  async #applyDay(day: string, batch: Entry[]): Promise<Entry[]> {
    if (batch.length === 0) return batch
    const unknown: Entry[] = []
    for (const [connectionId, entries] of byConnection(batch)) {
      const { others, optOuts } = splitOptOuts(entries)
      if (others.length > 0) {
        const { known } = await retryLostRaces(() =>
          applyReceipts(this.#rt.db, day, connectionId, others, this.#rt.clock.now()),
        )
        unknown.push(...withoutKnown(others, known))
      }
      for (const optOutBatch of optOuts) {
        const { known } = await retryLostRaces(() =>
          this.#rt.db.tx((tx) => applyWithOptOuts(tx, this.#rt.clock.now(), day, connectionId, optOutBatch)),
        )
        unknown.push(...withoutKnown(optOutBatch, known))
      }
    }
    return unknown
  }
}

/** Applies receipts and the opt-outs that they report. Must run in a transaction. */
export async function applyWithOptOuts(
  tx: Db,
  now: Date,
  day: string,
  connectionId: number,
  receipts: AppliedReceipt[],
) {
  const applied = await applyReceipts(tx, day, connectionId, receipts, now)
  await optOutByCarrier(tx, applied.optOuts, now)
  return applied
}

/** Returns the receipts of a batch except those with these indexes, which start at 1 as in SQL. */
function withoutKnown<T>(batch: T[], known: number[]): T[] {
  const indexes = new Set(known)
  return batch.filter((_, index) => !indexes.has(index + 1))
}

/** Groups entries by connection id. */
export function byConnection<T extends { connectionId: number }>(batch: T[]): Map<number, T[]> {
  const groups = new Map<number, T[]>()
  for (const entry of batch) {
    const group = groups.get(entry.connectionId)
    if (group) group.push(entry)
    else groups.set(entry.connectionId, [entry])
  }
  return groups
}
