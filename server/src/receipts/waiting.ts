import { alternativeMessageIds } from '../connections/message-id.ts'
import type { Db } from '../db/db.ts'
import { isDatabaseLost } from '../db/probe.ts'
import { retryLostRaces } from '../db/retry.ts'
import { listLogDays } from '../log/receipts.queries.ts'
import { insertFoundSubmit } from '../log/submits.queries.ts'
import type { Runtime } from '../runtime.ts'
import { encodeGsm7, fitsGsm7 } from '../sms/gsm7.ts'
import { splitOptOuts } from './carrier-opt-outs.ts'
import { applyWithOptOuts, byConnection } from './receipts.ts'
import {
  claimWaitingReceipts,
  endReceipts,
  findByAlternativeId,
  findByIdOnly,
  listUnknownRows,
  lockWaitingReceipts,
  type StoredReceipt,
  type UnknownRow,
} from './waiting.queries.ts'

/** Maximum receipts per call. */
const batchSize = 200

/** How long a receipt is retried before it becomes an orphan. */
const maxWaitMs = 24 * 3_600_000

/**
 * Tries to match the waiting receipts that are due, and returns whether there were any. A receipt is matched by its id, which may
 * be known by now, or else to a text to the same phone whose id is unknown. A receipt that cannot be applied does not affect the
 * others; its error is thrown after they are applied.
 */
export async function settleWaitingReceipts(rt: Pick<Runtime, 'db' | 'clock'>): Promise<boolean> {
  const { db } = rt
  const now = rt.clock.now()
  const waiting = await claimWaitingReceipts(db, batchSize)
  if (waiting.length === 0) return false
  const days = await listLogDays(db)
  const faults: unknown[] = []
  const unknown: StoredReceipt[] = []
  for (const ofConnection of byConnection(waiting).values()) {
    const { others, optOuts } = splitOptOuts(ofConnection)
    for (const batch of [others, ...optOuts]) unknown.push(...(await applyWaiting(db, now, days, batch, faults)))
  }
  // One after the other, because two receipts for one phone must not both settle the same row; and each in its own transaction,
  // because the locks of a transaction block everything else of the same broadcast.
  for (const receipt of unknown) {
    try {
      await settleByPhone(db, now, receipt, days)
    } catch (error) {
      faults.push(error)
    }
  }
  if (faults.length > 0) throw faults[0]
  return true
}

/**
 * Applies the receipts whose ids are known by now, in one transaction, and returns the others. If the transaction fails, each
 * half of the batch is tried separately, and so on, until only the receipts that fail are left; their errors are added to
 * `faults`. Throws only if the database is unavailable.
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
        const locked = await lockWaitingReceipts(tx, idsOf(batch))
        const receipts = batch.filter(({ id }) => locked.has(id))
        return applyById(tx, now, days, receipts, 'applied')
      }),
    )
  } catch (error) {
    if (await isDatabaseLost(db, error)) throw error
    if (batch.length === 1) {
      faults.push(error)
      return []
    }
    const middle = batch.length >> 1
    const unknown = await applyWaiting(db, now, days, batch.slice(0, middle), faults)
    return [...unknown, ...(await applyWaiting(db, now, days, batch.slice(middle), faults))]
  }
}

/** Applies a receipt to the only row that matches it; ends it as an orphan if there is none and it has waited too long. */
async function settleByPhone(db: Db, now: Date, receipt: StoredReceipt, days: string[]): Promise<void> {
  const row = await findRow(db, receipt, days)
  // the text may still await its response, which can take longer than a day
  if (row === 'awaits response') return
  if (!row && receipt.receivedAt.getTime() >= now.getTime() - maxWaitMs) return
  await retryLostRaces(() =>
    db.tx(async (tx) => {
      // another gateway may be settling the same receipt
      if (!(await lockWaitingReceipts(tx, [receipt.id])).has(receipt.id)) return
      // A text may have received this id after the search by id and before the candidates were read. It is then missing among the
      // candidates, because it stops awaiting its response in the same commit.
      const unknown = await applyById(tx, now, days, [receipt], 'applied')
      if (unknown.length === 0) return
      if (!row) return endReceipts(tx, [receipt.id], 'orphan', now)
      // a receipt without an id gets a made-up one, because an empty id would match each later text to that phone
      const withId = receipt.smscId === '' ? { ...receipt, smscId: `receipt ${receipt.id}` } : receipt
      await insertFoundSubmit(tx, withId, row)
      await applyById(tx, now, [row.loggedOn], [withId], 'settled')
    }),
  )
}

/**
 * Returns the row of a receipt with an unknown id: one whose id is spelled differently or is known from another connection, one
 * that never got an id, or one whose phone number is written differently. Returns `awaits response` if the id may still arrive.
 */
async function findRow(
  db: Db,
  receipt: StoredReceipt,
  days: string[],
): Promise<UnknownRow | 'awaits response' | undefined> {
  if (receipt.phone === null) return undefined
  // the candidates are read first, so that a text that gets its response meanwhile is found by its id
  const candidates = await listUnknownRows(db, receipt, days)
  if (receipt.smscId !== '') {
    const ids = [receipt.smscId, ...alternativeMessageIds(receipt.smscId)]
    const row = await findByAlternativeId(db, receipt, ids, days)
    if (row) return row
  }
  const candidate = chooseCandidate(receipt, candidates)
  // the response may still bring the id, and until then the receipt must not settle an older open text
  if (candidate?.awaitsResponse) return 'awaits response'
  if (candidate || receipt.smscId === '') return candidate
  return findByIdOnly(db, receipt, days)
}

/**
 * Applies receipts whose SMSC ids are known on one of these days, and returns the others, except those for texts that still await
 * the response to some part: these receipts stay waiting until the response arrives or the text becomes unknown.
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
      const { known, early } = await applyWithOptOuts(tx, now, day, connectionId, entries)
      // these indexes start at 1
      const applied = known.map((index) => entries[index - 1] as StoredReceipt)
      await endReceipts(tx, idsOf(applied), outcome, now)
      const matched = new Set([...known, ...early].map((index) => entries[index - 1]))
      unknown = unknown.filter((receipt) => !matched.has(receipt))
    }
  }
  return unknown
}

const idsOf = (receipts: StoredReceipt[]) => receipts.map((receipt) => receipt.id)

type Candidate = Awaited<ReturnType<typeof listUnknownRows>>[number]

/**
 * Returns the candidate to which a receipt belongs: the one whose reference it echoes, or, without a reference, the only one that
 * starts with the receipt's excerpt and was submitted before the receipt's submit date. If several match, it returns one that
 * awaits its response, because its id may decide; otherwise undefined.
 */
export function chooseCandidate(receipt: StoredReceipt, candidates: Candidate[]): Candidate | undefined {
  if (receipt.reference !== null) {
    // references repeat after some time, so several texts may match: prefer the excerpt, then the latest text
    const withReference = candidates.filter((candidate) => candidate.byReference)
    return withReference.findLast((candidate) => startsWithExcerpt(candidate, receipt.excerpt)) ?? withReference.at(-1)
  }
  const matching = candidates.filter(
    (candidate) =>
      (candidate.partCount === 1 || candidate.part === -1) &&
      startsWithExcerpt(candidate, receipt.excerpt) &&
      mayBeSubmittedBefore(candidate.submittedAt, receipt.submitDate),
  )
  return matching.length === 1 ? matching[0] : matching.find((candidate) => candidate.awaitsResponse)
}

/** Whether a text starts with the excerpt, which is read octet by octet: of GSM-7 and UTF-8 as well as of Latin-1. */
function startsWithExcerpt({ content }: Candidate, excerpt: string | null): boolean {
  if (!excerpt) return false
  const start = excerpt.trimEnd().slice(0, 20)
  if (content.slice(0, 20).startsWith(start)) return true
  const first = content.slice(0, 20)
  const octets = [Buffer.from(first), ...(fitsGsm7(first) ? [encodeGsm7(first)] : [])]
  // a stored excerpt has no NUL, which is the @ of GSM-7
  return octets.some((each) => each.toString('latin1').replaceAll('\0', '').startsWith(start))
}

/** Whether a text submitted at `at` can have this submit date, which is in an unknown time zone. */
function mayBeSubmittedBefore(at: Date, submitDate: string | null): boolean {
  const carrierTime = readReceiptDate(submitDate ?? '')
  if (carrierTime === undefined) return false
  // the carrier's time zone may be anything from UTC-12 to UTC+14, and its clock may be wrong by a minute
  return carrierTime >= at.getTime() - 12 * 3_600_000 - 60_000
}

const dateForms = [/^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?$/, /^20(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?$/]

// a zone such as +0100, +01:00, Z or UTC, and tenths of a second with the quarters of an hour of SMPP 3.4 §7.1.1: 004+
const ZONE = /(?<=(?:\d\D?){10}.*)(?:\s*[+-]\d\d(?::?\d\d)?|\d{3}[+-]|\s*[a-z]{1,5})$/i
const FRACTION = /(?<=:\d\d)[.,]\d+$/

/**
 * Parses YYMMDDhhmm[ss] or YYYYMMDDhhmm[ss], with any separators, as if in UTC; without seconds, the last one of the minute. A
 * zone is ignored, because SMSCs write local time under any.
 */
export function readReceiptDate(date: string): number | undefined {
  const digits = date.trim().replace(ZONE, '').replace(FRACTION, '').replace(/\D/g, '')
  for (const form of dateForms) {
    const match = form.exec(digits)
    if (!match) continue
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0] = match.slice(1, 6).map(Number)
    const second = match[6] === undefined ? 59 : Number(match[6])
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59) continue
    return Date.UTC(2000 + year, month - 1, day, hour, minute, second)
  }
  return undefined
}
