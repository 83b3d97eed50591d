import { alternativeMessageIds } from '../connections/message-id.ts'
import type { Db } from '../db/db.ts'
import { isDatabaseUnavailable } from '../db/pg-errors.ts'
import { retryLostRaces } from '../db/retry.ts'
import { listLogDays } from '../log/receipts.queries.ts'
import { insertFoundSubmit } from '../log/submits.queries.ts'
import type { Runtime } from '../runtime.ts'
import { cutOptOuts } from './carrier-opt-outs.ts'
import { applyFully, byConnection } from './receipts.ts'
import {
  claimWaitingReceipts,
  endReceipts,
  findMisaddressed,
  findRespelled,
  listUnknownRows,
  lockWaitingReceipts,
  type StoredReceipt,
  type UnknownRow,
} from './waiting.queries.ts'

/** Receipts of one round. */
const atOnce = 200

/** Time for which a receipt without a known text is tried again. */
const patienceMs = 24 * 3_600_000

/**
 * Tries the waiting receipts that are due and returns whether there were any: by their id, which may be known by
 * now, else as the receipt of an unknown text to the same handset. One that fails does not hold up the others.
 */
export async function settleWaitingReceipts(rt: Pick<Runtime, 'db' | 'clock'>): Promise<boolean> {
  const { db } = rt
  const now = rt.clock.now()
  const waiting = await claimWaitingReceipts(db, atOnce)
  if (waiting.length === 0) return false
  const days = await listLogDays(db)
  const faults: unknown[] = []
  const unknown: StoredReceipt[] = []
  for (const ofConnection of byConnection(waiting).values()) {
    const { others, optOuts } = cutOptOuts(ofConnection)
    for (const batch of [others, ...optOuts]) unknown.push(...(await applyWaiting(db, now, days, batch, faults)))
  }
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
  return true
}

/**
 * Applies the receipts whose id is known by now, in one transaction, and returns the others. When that fails each half is
 * tried by itself, and so on down to the receipt that fails.
 */
async function applyWaiting(
  db: Db,
  now: Date,
  days: string[],
  batch: StoredReceipt[],
  faults: unknown[],
): Promise<StoredReceipt[]> {
  if (batch.length === 0) return []
  try {
    return await retryLostRaces(() =>
      db.tx(async (tx) => {
        const still = await lockWaitingReceipts(tx, idsOf(batch))
        const receipts = batch.filter(({ id }) => still.has(id))
        return applyById(tx, now, days, receipts, 'applied')
      }),
    )
  } catch (error) {
    if (isDatabaseUnavailable(error)) throw error
    if (batch.length === 1) {
      faults.push(error)
      return []
    }
    const middle = batch.length >> 1
    const first = await applyWaiting(db, now, days, batch.slice(0, middle), faults)
    return [...first, ...(await applyWaiting(db, now, days, batch.slice(middle), faults))]
  }
}

/** Applies a receipt to its row, if exactly one fits; ends it when it has waited for too long. */
async function settleByHandset(db: Db, now: Date, receipt: StoredReceipt, days: string[]): Promise<void> {
  const row = await findRow(db, receipt, days)
  // it may be the receipt of a text without a response yet, and that can take longer than a day
  if (row === 'on its way') return
  if (!row && receipt.receivedAt.getTime() >= now.getTime() - patienceMs) return
  await retryLostRaces(() =>
    db.tx(async (tx) => {
      // another gateway may be at it as well
      if (!(await lockWaitingReceipts(tx, [receipt.id])).has(receipt.id)) return
      // a text may have got this very id since that was looked up, and was then missing among the candidates: the id
      // comes in the commit in which its text stops being on its way
      const unknown = await applyById(tx, now, days, [receipt], 'applied')
      if (unknown.length === 0) return
      if (!row) return endReceipts(tx, [receipt.id], 'orphan', now)
      // one without an id gets one of its own: with none, it would stand for each later text to that handset
      const named = receipt.smscId === '' ? { ...receipt, smscId: `receipt ${receipt.id}` } : receipt
      await insertFoundSubmit(tx, named, row)
      await applyById(tx, now, [row.loggedOn], [named], 'settled')
    }),
  )
}

/**
 * The row of a receipt whose id nobody knows: one whose id is spelt otherwise or came over another connection, one that
 * never got an id, or one whose handset the carrier writes in a way of its own. `on its way` while the id may still come.
 */
async function findRow(db: Db, receipt: StoredReceipt, days: string[]): Promise<UnknownRow | 'on its way' | undefined> {
  if (receipt.phone === null) return undefined
  // the candidates first: one that got its response since is found by its id
  const candidates = await listUnknownRows(db, receipt, days)
  if (receipt.smscId !== '') {
    const ids = [receipt.smscId, ...alternativeMessageIds(receipt.smscId)]
    const respelled = await findRespelled(db, receipt, ids, days)
    if (respelled) return respelled
  }
  const unknown = findUnknown(receipt, candidates)
  // the response, which may still come, has the id; and the receipt must not settle an older text that is open as well
  if (unknown?.onItsWay) return 'on its way'
  if (unknown || receipt.smscId === '') return unknown
  return findMisaddressed(db, receipt, days)
}

/**
 * Applies receipts whose SMSC id is known on one of these days, and returns the others. A receipt for a text of which some
 * response is missing waits for that, however long it takes.
 */
async function applyById(
  tx: Db,
  now: Date,
  days: string[],
  receipts: StoredReceipt[],
  outcome: 'applied' | 'settled',
): Promise<StoredReceipt[]> {
  let unknown = receipts
  for (const day of days) {
    for (const [connectionId, entries] of byConnection(unknown)) {
      const { known, early } = await applyFully(tx, now, day, connectionId, entries)
      const applied = known.map((place) => entries[place - 1] as StoredReceipt)
      await endReceipts(tx, idsOf(applied), outcome, now)
      const met = new Set([...known, ...early].map((place) => entries[place - 1]))
      unknown = unknown.filter((receipt) => !met.has(receipt))
    }
  }
  return unknown
}

const idsOf = (receipts: StoredReceipt[]) => receipts.map((receipt) => receipt.id)

type Candidate = Awaited<ReturnType<typeof listUnknownRows>>[number]

/**
 * The unknown text a receipt is for: the one whose reference it echoes; without one, the only one to that handset
 * that begins with the receipt's excerpt and was submitted before the receipt's submit date. Of several, one that is on its
 * way: nothing can be told before its answer.
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
  return fitting.length === 1 ? fitting[0] : fitting.find((candidate) => candidate.onItsWay)
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
