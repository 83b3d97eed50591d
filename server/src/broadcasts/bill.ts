import { findByKeys } from '../db/by-keys.ts'
import type { Db } from '../db/db.ts'
import { manyMessages, type SweepRt } from '../log/sweeps.ts'
import {
  type Billable,
  claimUnbilled,
  countSuppressed,
  findAccountOf,
  type IdRange,
  listRanges,
  listSuppressing,
  listUnbilledAccounts,
  type Suppressions,
  type Tally,
  tally,
  writeBills,
} from './bill.queries.ts'

// The parts and the cost of a message. They are computed outside the send path, from the current rows, and written
// last: a crash before that writes nothing, and a repeated computation gives the same result.

const messagesAtOnce = 200
const recipientsAtOnce = 100_000
/** Rows per statement: takes far less than the limit of one second per statement. */
const rowsAtOnce = 20_000

/** Maximum number of accounts whose messages are read at a time. */
const accountsAtOnce = 200

/**
 * Where the next batch begins: behind this account and, if an account has many messages that cannot be billed yet, behind
 * those that were read. In memory: after a restart, the first account comes first again.
 */
type Rotation = { lastAccount: number; readUpTo: Map<number, number> }

const rotationOfDb = new WeakMap<Db, Rotation>()

/** Bills messages that have been sent and have no bill yet, in turns by account; returns whether there were any. */
export const billSent = manyMessages<SweepRt>({
  sweep: 'bill',
  work: (rt, only, claimed) =>
    rt.db.tx(async (tx) => {
      const messages = only === null ? await claimBatch(rt, tx) : await claimOnly(tx, only)
      claimed(messages.map(({ messageId }) => messageId))
      await bill(tx, messages, rt.clock.now())
      return messages.length > 0
    }),
})

async function claimOnly(tx: Db, messageId: number): Promise<Billable[]> {
  const account = await findAccountOf(tx, messageId)
  if (!account) return []
  await findByKeys(tx)
  const pages = await claimUnbilled(tx, [{ ...account, after: messageId - 1 }], 1, messageId)
  return pages.flatMap(({ messages }) => messages)
}

/** Claims the next batch, the oldest message of each account first. */
async function claimBatch(rt: SweepRt, tx: Db): Promise<Billable[]> {
  const rotation = rotationOfDb.get(rt.db) ?? { lastAccount: 0, readUpTo: new Map() }
  rotationOfDb.set(rt.db, rotation)
  let accounts = await listUnbilledAccounts(tx, rotation.lastAccount, accountsAtOnce)
  if (accounts.length === 0 && rotation.lastAccount > 0) accounts = await listUnbilledAccounts(tx, 0, accountsAtOnce)
  if (accounts.length === 0) return []
  await findByKeys(tx)
  const share = Math.max(1, Math.floor(messagesAtOnce / accounts.length))
  const starts = accounts.map((accountId) => ({ accountId, after: rotation.readUpTo.get(accountId) ?? 0 }))
  const pages = await claimUnbilled(tx, starts, share, null)
  const turns = Array.from({ length: share }, (_, turn) => pages.flatMap(({ messages }) => messages[turn] ?? []))
  const batch = firstBatch(turns.flat())
  const billed = new Set(batch)
  for (const { accountId, last, messages } of pages) {
    // more may follow on the page
    if (messages.length === share || !messages.every((message) => billed.has(message))) continue
    if (last === null) rotation.readUpTo.delete(accountId)
    else rotation.readUpTo.set(accountId, last)
  }
  // the first one is billed even if it is large, so the account of a large one that is left out must be the first
  const isCut = batch.length < (turns[0]?.length ?? 0)
  rotation.lastAccount = (isCut ? batch.at(-1)?.accountId : accounts.at(-1)) ?? 0
  return batch
}

/** Returns the first of these messages with at most 100,000 recipients in total; at least one, even if it has more. */
function firstBatch(messages: Billable[]): Billable[] {
  let recipients = 0
  return messages.filter(({ audience }, n) => {
    recipients += audience
    return n === 0 || recipients <= recipientsAtOnce
  })
}

/** Bills these messages; replaces the bills that exist. */
export async function bill(tx: Db, messages: Pick<Billable, 'messageId' | 'loggedOn'>[], at: Date): Promise<void> {
  if (messages.length === 0) return
  await findByKeys(tx)
  const ids = messages.map((message) => message.messageId)
  const dayOf = new Map(messages.map((message) => [message.messageId, message.loggedOn]))
  const tallies = new Map<string, Tally>()
  const ranges = splitRanges(mergeRanges(await listRanges(tx, ids)))
  for (const day of new Set(dayOf.values())) {
    const rangesOfDay = ranges.filter((range) => dayOf.get(range.messageId) === day)
    for (const slice of batchRanges(rangesOfDay)) {
      for (const row of await tally(tx, day, slice)) add(tallies, row)
    }
  }
  await writeBills(tx, ids, [...tallies.values()], await suppressionsOf(tx, ids, ranges, dayOf), at)
}

/** Returns the suppressed recipients of each message by reason; reads only messages that have some. */
async function suppressionsOf(
  tx: Db,
  ids: number[],
  ranges: IdRange[],
  dayOf: Map<number, string>,
): Promise<Map<number, Suppressions>> {
  const suppressing = new Set(await listSuppressing(tx, ids))
  const found = new Map<number, Suppressions>()
  const byDay = Map.groupBy(
    ranges.filter((range) => suppressing.has(range.messageId)),
    (range) => dayOf.get(range.messageId) ?? '',
  )
  for (const [day, rangesOfDay] of byDay) {
    for (const slice of batchRanges(rangesOfDay)) {
      for (const { messageId, reason, n } of await countSuppressed(tx, day, slice)) {
        const counts = found.get(messageId) ?? {}
        counts[reason] = (counts[reason] ?? 0) + n
        found.set(messageId, counts)
      }
    }
  }
  return found
}

function add(tallies: Map<string, Tally>, row: Tally): void {
  const key = `${row.messageId} ${row.carrier}`
  const sum = tallies.get(key)
  if (!sum) {
    tallies.set(key, { ...row })
    return
  }
  sum.parts += row.parts
  sum.billable += row.billable
  sum.least = Math.min(sum.least, row.least)
  sum.most = Math.max(sum.most, row.most)
}

/** Merges ordered ranges that overlap, so that no row is counted twice. */
export function mergeRanges(ranges: IdRange[]): IdRange[] {
  const merged: IdRange[] = []
  for (const range of ranges) {
    const last = merged.at(-1)
    if (last && last.messageId === range.messageId && range.first <= last.last + 1) {
      last.last = Math.max(last.last, range.last)
    } else {
      merged.push({ ...range })
    }
  }
  return merged
}

function splitRanges(ranges: IdRange[]): IdRange[] {
  return ranges.flatMap((range) => {
    const subranges: IdRange[] = []
    for (let first = range.first; first <= range.last; first += rowsAtOnce) {
      subranges.push({ ...range, first, last: Math.min(range.last, first + rowsAtOnce - 1) })
    }
    return subranges
  })
}

function batchRanges(ranges: IdRange[]): IdRange[][] {
  const batches: IdRange[][] = []
  let rows = Number.POSITIVE_INFINITY
  for (const range of ranges) {
    const length = range.last - range.first + 1
    if (rows + length > rowsAtOnce) {
      batches.push([])
      rows = 0
    }
    batches.at(-1)?.push(range)
    rows += length
  }
  return batches
}
