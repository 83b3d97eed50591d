import { otherSpellings } from '../connections/message-id.ts'
import type { Db } from '../db/db.ts'
import { isBadValue } from '../db/pg-errors.ts'
import { retryLostRaces } from '../db/retry.ts'
import { Batcher } from '../lib/batcher.ts'
import type { Runtime } from '../runtime.ts'
import { optOutByCarrier } from './carrier-opt-outs.ts'
import {
  type AppliedReceipt,
  applyReceipts,
  claimWaitingReceipts,
  endReceipts,
  findMisaddressed,
  findRespelled,
  insertFoundSubmit,
  insertWaitingReceipts,
  listLogDays,
  listUnknownRows,
  lockWaitingReceipt,
  postponeReceipts,
  type StoredReceipt,
  type UnknownRow,
  type WaitingReceipt,
} from './receipts.queries.ts'

type Entry = WaitingReceipt & { durable: () => void }

/** Each opt-out is some statements, and all of them hold the locks of the first. */
const optOutsAtATime = 20

/** A receipt that nothing explains is tried again for a day. */
const patienceMs = 24 * 3_600_000

/**
 * Applies receipts in batches. Each is durable before `durable` is called: applied to its log row, or kept until the
 * row it belongs to is known.
 */
export class ReceiptBook {
  readonly #rt: Pick<Runtime, 'db' | 'clock' | 'log'>
  readonly #batcher: Batcher<Entry>
  #days: string[] = []

  constructor(rt: Pick<Runtime, 'db' | 'clock' | 'log'>) {
    this.#rt = rt
    this.#batcher = new Batcher<Entry>({
      size: 400,
      patienceMs: 5,
      writers: 2,
      write: async (batch) => {
        await this.#apply(batch)
        for (const entry of batch) entry.durable()
      },
      onFailure: (error) => rt.log.warn({ err: error }, 'could not record receipts, trying again'),
      isHopeless: isBadValue,
      giveUp(entry, error) {
        rt.log.error({ err: error, connection: entry.connectionId }, 'a receipt that cannot be stored is lost')
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
    let left: Entry[] = batch
    for (const day of this.#days) left = await this.#applyDay(day, left)
    if (left.length > 0) {
      // a day we had not heard of yet, perhaps
      const before = new Set(this.#days)
      this.#days = await listLogDays(this.#rt.db)
      for (const day of this.#days) if (!before.has(day)) left = await this.#applyDay(day, left)
    }
    if (left.length > 0) await insertWaitingReceipts(this.#rt.db, left)
  }

  async #applyDay(day: string, batch: Entry[]): Promise<Entry[]> {
    if (batch.length === 0) return batch
    const left: Entry[] = []
    for (const [connectionId, entries] of byConnection(batch)) {
      const optOuts = entries.filter((entry) => entry.reason === 'opted_out')
      const others = entries.filter((entry) => entry.reason !== 'opted_out')
      if (others.length > 0) {
        const { known } = await retryLostRaces(() => applyReceipts(this.#rt.db, day, connectionId, others))
        left.push(...unknownOf(others, known))
      }
      for (let from = 0; from < optOuts.length; from += optOutsAtATime) {
        const some = optOuts.slice(from, from + optOutsAtATime)
        const { known } = await retryLostRaces(() =>
          this.#rt.db.tx((tx) => applyFully(tx, this.#rt.clock.now(), day, connectionId, some)),
        )
        left.push(...unknownOf(some, known))
      }
    }
    return left
  }
}

/** Applies receipts, and the opt-outs that they tell of, in the caller's transaction. */
async function applyFully(tx: Db, now: Date, day: string, connectionId: number, receipts: AppliedReceipt[]) {
  const applied = await applyReceipts(tx, day, connectionId, receipts)
  await optOutByCarrier(tx, applied.optOuts, now)
  return applied
}

/** The receipts of a batch that are not at these places, which count from 1. */
function unknownOf<T>(batch: T[], known: number[]): T[] {
  const places = new Set(known)
  return batch.filter((_, index) => !places.has(index + 1))
}

/** Entries by the connection that they came over. */
export function byConnection<T extends { connectionId: number }>(batch: T[]): Map<number, T[]> {
  const groups = new Map<number, T[]>()
  for (const entry of batch) {
    const group = groups.get(entry.connectionId)
    if (group) group.push(entry)
    else groups.set(entry.connectionId, [entry])
  }
  return groups
}

/**
 * Tries the waiting receipts that are due again and says whether there were any: by their id, which may be known by
 * now, else as the receipt of an unknown text to the same handset. One that fails is no obstacle to the others.
 */
export async function settleWaitingReceipts(rt: Pick<Runtime, 'db' | 'clock'>): Promise<boolean> {
  const { db } = rt
  const now = rt.clock.now()
  const { tried, unknown, days } = await retryLostRaces(() => db.tx((tx) => applyWaiting(tx, now)))
  const faults: unknown[] = []
  // one by one: two receipts to one handset must not both take the same unknown row. And each in its own transaction, for
  // what it holds nothing else of that broadcast can pass
  for (const receipt of unknown) {
    try {
      await settleByHandset(db, now, receipt, days)
    } catch (error) {
      faults.push(error)
    }
  }
  if (faults.length > 0) throw faults[0]
  return tried > 0
}

const isOrphan = (receipt: StoredReceipt, now: Date) => receipt.receivedAt.getTime() < now.getTime() - patienceMs

/** Applies those whose id is known by now, and puts the others off; answers those of which nobody knows the id. */
async function applyWaiting(tx: Db, now: Date) {
  const waiting = await claimWaitingReceipts(tx, 200)
  if (waiting.length === 0) return { tried: 0, unknown: [], days: [] }
  const days = await listLogDays(tx)
  const { early, unknown } = await applyById(tx, now, days, waiting, 'applied')
  const gone = early.filter((receipt) => isOrphan(receipt, now))
  await endReceipts(tx, idsOf(gone), 'orphan')
  await postponeReceipts(tx, idsOf([...early.filter((receipt) => !gone.includes(receipt)), ...unknown]))
  return { tried: waiting.length, unknown, days }
}

/** Applies a receipt to the row that it is for, if that can be told; ends it when it has waited for too long. */
async function settleByHandset(db: Db, now: Date, receipt: StoredReceipt, days: string[]): Promise<void> {
  const row = await findRow(db, receipt, days)
  if (!row && !isOrphan(receipt, now)) return
  await retryLostRaces(() =>
    db.tx(async (tx) => {
      // another gateway may be at it as well
      if (!(await lockWaitingReceipt(tx, receipt.id))) return
      if (!row) return endReceipts(tx, [receipt.id], 'orphan')
      // one without an id gets one of its own: with none, it would stand for each later text to that handset
      const named = receipt.smscId === '' ? { ...receipt, smscId: `receipt ${receipt.id}` } : receipt
      await insertFoundSubmit(tx, named, row)
      await applyById(tx, now, [row.loggedOn], [named], 'settled')
    }),
  )
}

/**
 * The row of a receipt whose id nobody knows: one whose id is spelt otherwise or came over another connection, one that
 * never got an id, or one whose handset the carrier writes in a way of its own.
 */
async function findRow(db: Db, receipt: StoredReceipt, days: string[]): Promise<UnknownRow | undefined> {
  if (receipt.phone === null) return undefined
  if (receipt.smscId !== '') {
    const ids = [receipt.smscId, ...otherSpellings(receipt.smscId)]
    const respelled = await findRespelled(db, receipt, ids, days)
    if (respelled) return respelled
  }
  const unknown = findUnknown(receipt, await listUnknownRows(db, receipt, days))
  // while its answer may come, the id will tell; and it must not be taken for an older text that is open as well
  if (unknown?.onItsWay) return undefined
  if (unknown || receipt.smscId === '') return unknown
  return findMisaddressed(db, receipt, days)
}

/** Applies receipts whose SMSC id is known on one of these days, and answers the others. */
async function applyById(
  tx: Db,
  now: Date,
  days: string[],
  receipts: StoredReceipt[],
  outcome: 'applied' | 'settled',
): Promise<{ early: StoredReceipt[]; unknown: StoredReceipt[] }> {
  const early: StoredReceipt[] = []
  let unknown = receipts
  for (const day of days) {
    for (const [connectionId, entries] of byConnection(unknown)) {
      const applied = await applyFully(tx, now, day, connectionId, entries)
      const known = new Set(applied.known.map((place) => entries[place - 1]))
      const begun = new Set(applied.early.map((place) => entries[place - 1]))
      early.push(...entries.filter((receipt) => begun.has(receipt)))
      await endReceipts(tx, idsOf(entries.filter((receipt) => known.has(receipt))), outcome)
      unknown = unknown.filter((receipt) => !known.has(receipt) && !begun.has(receipt))
    }
  }
  return { early, unknown }
}

const idsOf = (receipts: StoredReceipt[]) => receipts.map((receipt) => receipt.id)

type Candidate = Awaited<ReturnType<typeof listUnknownRows>>[number]

/**
 * The unknown text a receipt is for: the one whose reference it echoes; without one, the only one to that handset
 * that begins with the receipt's excerpt and was submitted before the receipt's submit date.
 */
export function findUnknown(receipt: StoredReceipt, candidates: Candidate[]): Candidate | undefined {
  if (receipt.reference !== null) {
    // its few bits come round again some day: the words tell then, else the latest text is the likeliest
    const named = candidates.filter((candidate) => candidate.byReference)
    return named.findLast((candidate) => beginsWith(candidate, receipt.excerpt)) ?? named.at(-1)
  }
  const fitting = candidates.filter(
    (candidate) =>
      (candidate.partCount === 1 || candidate.part === -1) &&
      beginsWith(candidate, receipt.excerpt) &&
      submittedBefore(candidate.submittedAt, receipt.submitDate),
  )
  return fitting.length === 1 ? fitting[0] : undefined
}

function beginsWith({ content }: Candidate, excerpt: string | null): boolean {
  return !!excerpt && content.slice(0, 20).startsWith(excerpt.trimEnd().slice(0, 20))
}

/** Whether `YYMMDDhhmm[ss]`, in a zone the carrier does not tell, can be the time of a text submitted at `at`. */
function submittedBefore(at: Date, submitDate: string | null): boolean {
  const digits = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?$/.exec(submitDate ?? '')
  if (!digits) return false
  const [, year, month, day, hour, minute, second] = digits.map(Number)
  const carrierTime = Date.UTC(2000 + (year ?? 0), (month ?? 1) - 1, day, hour, minute, second || 59)
  // the carrier's clock may show the time of any zone from UTC-12 to UTC+14, and be a minute off
  return carrierTime >= at.getTime() - 12 * 3_600_000 - 60_000
}
