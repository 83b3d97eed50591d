import { findByKeys } from '../db/by-keys.ts'
import type { Db } from '../db/db.ts'
import { isTableMissing } from '../db/pg-errors.ts'
import { listKeptDays } from '../log/log-days.queries.ts'
import {
  type CountedMessage,
  compareArchive,
  compareCounters,
  compareDay,
  compareListCounts,
  countReceivedTexts,
  countRowsOfDay,
  type Difference,
  findReceivedCounts,
  listArchivedDays,
  listListIds,
  listMessagesToCount,
  type ReceivedBroadcast,
  type ReceivedByArea,
} from './reconcile.queries.ts'

const messagesAtOnce = 1_000
/** Log rows of which one statement counts the states, unless a single message has more. */
const rowsAtOnce = 100_000
const listsAtOnce = 1_000
const maxDifferences = 1_000

export type Reconciliation = {
  days: number
  /** Days that the log no longer has, whose counters were compared with the counts of their archives. */
  archivedDays: number
  messages: number
  lists: number
  /** Lists whose received counts were compared; the others have broadcasts of days that are no longer kept. */
  listsWithReceived: number
  /** The first thousand differences. */
  differences: Difference[]
  differenceCount: number
}

/** The first and the last day (YYYY-MM-DD) of messages to compare, both inclusive. */
export type ReconciledPeriod = { from: string; to: string }

/**
 * Counts again what counters have, from the log, the ledger and the subscribers, and returns the differences: the counters of the
 * messages of a period and, without a period, of all kept days, the counts of lists and of received texts, too. Of days that were
 * archived and removed, the counters of all messages of an account together are compared with the archive. Each comparison is made in one
 * snapshot, so texts may be sent, and days removed, meanwhile. Changes nothing.
 */
export async function reconcile(db: Db, period: ReconciledPeriod | null): Promise<Reconciliation> {
  const kept = await listKeptDays(db)
  const days = period === null ? kept : kept.filter((day) => day >= period.from && day <= period.to)
  const found: Reconciliation = {
    days: days.length,
    archivedDays: 0,
    messages: 0,
    lists: 0,
    listsWithReceived: 0,
    differences: [],
    differenceCount: 0,
  }
  await compareMessages(db, days, found)
  for (const day of await listArchivedDays(db, period ?? { from: '0001-01-01', to: '9999-12-31' })) {
    found.archivedDays++
    add(found, await compareArchive(db, day))
  }
  if (period === null) await compareLists(db, new Set(kept), found)
  return found
}

function add(found: Reconciliation, differences: Difference[]): void {
  found.differenceCount += differences.length
  found.differences.push(...differences.slice(0, maxDifferences - found.differences.length))
}

async function compareMessages(db: Db, days: string[], found: Reconciliation): Promise<void> {
  const [from, to] = [days[0], days.at(-1)]
  if (from === undefined || to === undefined) return
  const counted = new Map(days.map((day) => [day, 0]))
  for (let last: number | null = 0; last !== null; ) {
    const page: Awaited<ReturnType<typeof listMessagesToCount>> = await listMessagesToCount(
      db,
      { from, to },
      last,
      messagesAtOnce,
    )
    last = page.last
    const messages = page.messages.filter(({ loggedOn }) => counted.has(loggedOn))
    for (const { loggedOn, audience } of messages) counted.set(loggedOn, (counted.get(loggedOn) ?? 0) + audience)
    for (const batch of batchesOf(messages)) {
      found.messages += batch.ids.length
      add(found, (await unlessRemoved(() => byKeys(db, (tx) => compareCounters(tx, batch.day, batch.ids)))) ?? [])
    }
  }
  for (const [day, audience] of counted) {
    // messages of the day may have been accepted since they were read, so a difference is looked at again in one snapshot
    await unlessRemoved(async () => {
      if ((await countRowsOfDay(db, day)) !== audience) add(found, await compareDay(db, day))
    })
  }
}

type Batch = { day: string; ids: number[]; rows: number }

/** Returns the messages by day, in batches with up to 100,000 recipients in total or of one message. */
function batchesOf(messages: CountedMessage[]): Batch[] {
  const batches: Batch[] = []
  for (const [day, ofDay] of Map.groupBy(messages, ({ loggedOn }) => loggedOn)) {
    let batch: Batch | undefined
    for (const { id, audience } of ofDay) {
      if (!batch || batch.rows + audience > rowsAtOnce) {
        batch = { day, ids: [], rows: 0 }
        batches.push(batch)
      }
      batch.ids.push(id)
      batch.rows += audience
    }
  }
  return batches
}

async function compareLists(db: Db, kept: ReadonlySet<string>, found: Reconciliation): Promise<void> {
  for (
    let ids = await listListIds(db, 0, listsAtOnce);
    ids.length > 0;
    ids = await listListIds(db, ids.at(-1) ?? 0, listsAtOnce)
  ) {
    for (const id of ids) {
      found.lists++
      add(found, await compareListCounts(db, id))
      const { stored, broadcasts } = await findReceivedCounts(db, id)
      if (!broadcasts.every(({ loggedOn }) => kept.has(loggedOn))) continue
      const recounted = await unlessRemoved(() => recountReceived(db, broadcasts))
      if (!recounted) continue
      found.listsWithReceived++
      add(found, compareAreas(id, stored, recounted))
    }
  }
}

type Sums = Map<number, { texts: number; hash: bigint }>

async function recountReceived(db: Db, broadcasts: ReceivedBroadcast[]): Promise<Sums> {
  const sums: Sums = new Map()
  for (const broadcast of broadcasts) {
    for (const { area, texts, hash } of await byKeys(db, (tx) => countReceivedTexts(tx, broadcast))) {
      const sum = sums.get(area) ?? { texts: 0, hash: 0n }
      sums.set(area, { texts: sum.texts + texts, hash: sum.hash + BigInt(hash) })
    }
  }
  return sums
}

/** Compares the sums of each area code; equal sums with different hashes mean that texts are counted for other numbers. */
function compareAreas(listId: number, stored: ReceivedByArea[], recounted: Sums): Difference[] {
  const storedByArea = new Map(stored.map(({ area, texts, hash }) => [area, { texts, hash: BigInt(hash) }]))
  const areas = [...new Set([...storedByArea.keys(), ...recounted.keys()])].sort((a, b) => a - b)
  const none = { texts: 0, hash: 0n }
  return areas.flatMap((area) => {
    const [was, is] = [storedByArea.get(area) ?? none, recounted.get(area) ?? none]
    if (was.texts === is.texts && was.hash === is.hash) return []
    const counter = was.texts === is.texts ? 'received texts of other numbers' : 'received texts'
    return { subject: `list ${listId}, numbers ${area}...`, counter, stored: was.texts, recomputed: is.texts }
  })
}

/** Returns the result of reading a day; undefined if the day was removed meanwhile. */
async function unlessRemoved<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (isTableMissing(error)) return undefined
    throw error
  }
}

const byKeys = <T>(db: Db, work: (tx: Db) => Promise<T>) =>
  db.tx(async (tx) => {
    await findByKeys(tx)
    return work(tx)
  })
