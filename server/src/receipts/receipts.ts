import type { Db } from '../db/db.ts'
import { isBadValue } from '../db/pg-errors.ts'
import { retryLostRaces } from '../db/retry.ts'
import { Batcher } from '../lib/batcher.ts'
import type { AppliedReceipt } from '../log/receipt.ts'
import { applyReceipts, listLogDays } from '../log/receipts.queries.ts'
import type { Runtime } from '../runtime.ts'
import { cutOptOuts, optOutByCarrier } from './carrier-opt-outs.ts'
import { insertWaitingReceipts, type WaitingReceipt } from './waiting.queries.ts'

type Entry = WaitingReceipt & { durable: () => void }

/**
 * Applies receipts in batches. Each is durable before `durable` is called: applied to its log row, or stored until its
 * row is known.
 */
export class ReceiptBook {
  readonly #rt: Pick<Runtime, 'db' | 'clock' | 'log'>
  readonly #batcher: Batcher<Entry>
  #days: string[] = []

  constructor(rt: Pick<Runtime, 'db' | 'clock' | 'log'>) {
    this.#rt = rt
    this.#batcher = new Batcher<Entry>({
      size: 400,
      maxDelayMs: 5,
      writers: 2,
      write: async (batch) => {
        await this.#apply(batch)
        for (const entry of batch) entry.durable()
      },
      onFailure: (error) => rt.log.warn({ err: error }, 'receipts not recorded, retrying'),
      isPermanent: isBadValue,
      onDropped(entry, error) {
        rt.log.error({ err: error, connection: entry.connectionId }, 'receipt lost, it cannot be stored')
        entry.durable()
      },
    })
  }

  add(receipt: WaitingReceipt, durable: () => void): void {
    this.#batcher.add({ ...receipt, durable })
  }

  flushed(): Promise<void> {
    return this.#batcher.flushed()
  }

  async #apply(batch: Entry[]): Promise<void> {
    try {
      await this.#applyOrKeep(batch)
    } catch (error) {
      // one of the days may have been dropped meanwhile
      this.#days = []
      throw error
    }
  }

  async #applyOrKeep(batch: Entry[]): Promise<void> {
    let rest: Entry[] = batch
    for (const day of this.#days) rest = await this.#applyDay(day, rest)
    if (rest.length > 0) {
      // the text may be of a day that was not known yet
      const before = new Set(this.#days)
      this.#days = await listLogDays(this.#rt.db)
      for (const day of this.#days) if (!before.has(day)) rest = await this.#applyDay(day, rest)
    }
    if (rest.length > 0) await insertWaitingReceipts(this.#rt.db, rest)
  }

  async #applyDay(day: string, batch: Entry[]): Promise<Entry[]> {
    if (batch.length === 0) return batch
    const rest: Entry[] = []
    for (const [connectionId, entries] of byConnection(batch)) {
      const { others, optOuts } = cutOptOuts(entries)
      if (others.length > 0) {
        const { known } = await retryLostRaces(() =>
          applyReceipts(this.#rt.db, day, connectionId, others, this.#rt.clock.now()),
        )
        rest.push(...unknownOf(others, known))
      }
      for (const some of optOuts) {
        const { known } = await retryLostRaces(() =>
          this.#rt.db.tx((tx) => applyFully(tx, this.#rt.clock.now(), day, connectionId, some)),
        )
        rest.push(...unknownOf(some, known))
      }
    }
    return rest
  }
}

/** Applies receipts, and the opt-outs that they report, in the caller's transaction. */
export async function applyFully(tx: Db, now: Date, day: string, connectionId: number, receipts: AppliedReceipt[]) {
  const applied = await applyReceipts(tx, day, connectionId, receipts, now)
  await optOutByCarrier(tx, applied.optOuts, now)
  return applied
}

/** The receipts of a batch without those of these indexes, which count from 1. */
function unknownOf<T>(batch: T[], known: number[]): T[] {
  const indexes = new Set(known)
  return batch.filter((_, index) => !indexes.has(index + 1))
}

/** Groups entries by their connection. */
export function byConnection<T extends { connectionId: number }>(batch: T[]): Map<number, T[]> {
  const groups = new Map<number, T[]>()
  for (const entry of batch) {
    const group = groups.get(entry.connectionId)
    if (group) group.push(entry)
    else groups.set(entry.connectionId, [entry])
  }
  return groups
}
