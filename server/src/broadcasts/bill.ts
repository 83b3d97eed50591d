import { findByKeys } from '../db/by-keys.ts'
import type { Db } from '../db/db.ts'
import { manyMessages } from '../log/sweeps.ts'
import type { Runtime } from '../runtime.ts'
import {
  type Billable,
  claimUnbilled,
  type IdRange,
  listRanges,
  type Tally,
  tally,
  writeBills,
} from './bill.queries.ts'

// The parts and the cost of a message. They are computed off the hot path, from the rows as they are, and written at the
// end: a crash in between leaves nothing, and computing them twice changes nothing.

const messagesAtOnce = 200
const recipientsAtOnce = 100_000
/** Far below the second that no statement may exceed. */
const rowsAtOnce = 20_000

/** Bills messages that have been sent and have no bill yet; returns whether there were any. */
export const billSent = manyMessages<Pick<Runtime, 'db' | 'clock'>>((rt, choice, claimed) =>
  rt.db.tx(async (tx) => {
    const messages = atOnce(await claimUnbilled(tx, messagesAtOnce, choice))
    claimed(messages.map(({ messageId }) => messageId))
    await bill(tx, messages, rt.clock.now())
    return messages.length > 0
  }),
)

/** The first of these messages, with at most 100,000 recipients: many texts to single numbers, or one large broadcast. */
function atOnce(messages: Billable[]): Billable[] {
  let recipients = 0
  return messages.filter(({ audience }, n) => {
    recipients += audience
    return n === 0 || recipients <= recipientsAtOnce
  })
}

/** Bills these messages, whether or not they have a bill already. */
export async function bill(tx: Db, messages: Omit<Billable, 'audience'>[], at: Date): Promise<void> {
  if (messages.length === 0) return
  await findByKeys(tx)
  const ids = messages.map((message) => message.messageId)
  const dayOf = new Map(messages.map((message) => [message.messageId, message.loggedOn]))
  const tallies = new Map<string, Tally>()
  const ranges = cut(merge(await listRanges(tx, ids)))
  for (const day of new Set(dayOf.values())) {
    const ofDay = ranges.filter((range) => dayOf.get(range.messageId) === day)
    for (const slice of slices(ofDay)) {
      for (const one of await tally(tx, day, slice)) add(tallies, one)
    }
  }
  await writeBills(tx, ids, [...tallies.values()], at)
}

function add(tallies: Map<string, Tally>, one: Tally): void {
  const key = `${one.messageId} ${one.carrier}`
  const known = tallies.get(key)
  if (!known) {
    tallies.set(key, { ...one })
    return
  }
  known.parts += one.parts
  known.taken += one.taken
  known.least = Math.min(known.least, one.least)
  known.most = Math.max(known.most, one.most)
}

/** Merges ordered ranges that overlap, so that no row is counted twice. */
export function merge(ranges: IdRange[]): IdRange[] {
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

function cut(ranges: IdRange[]): IdRange[] {
  return ranges.flatMap((range) => {
    const pieces: IdRange[] = []
    for (let first = range.first; first <= range.last; first += rowsAtOnce) {
      pieces.push({ ...range, first, last: Math.min(range.last, first + rowsAtOnce - 1) })
    }
    return pieces
  })
}

function slices(ranges: IdRange[]): IdRange[][] {
  const all: IdRange[][] = []
  let rows = Number.POSITIVE_INFINITY
  for (const range of ranges) {
    const more = range.last - range.first + 1
    if (rows + more > rowsAtOnce) {
      all.push([])
      rows = 0
    }
    all.at(-1)?.push(range)
    rows += more
  }
  return all
}
