import { carrierLines } from '../connections/carrier-lines.ts'
import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { optOutOfShortCode } from '../opt-ins/opt-out.ts'
import type { Runtime } from '../runtime.ts'
import { nextPages, turnsOfDestinations } from './destination-turns.ts'
import { findDestination, type InboundDestination } from './destinations.queries.ts'
import {
  claimInbound,
  claimUnhandled,
  endRedelivery,
  type Inbound,
  insertInbound,
  markIgnored,
  markInterpreted,
  markOptedOut,
  markUnapplied,
  type NewInbound,
  type StoredInbound,
} from './inbound.queries.ts'
import { applyOptIn, findOptIns } from './opt-in-texts.ts'
import { confirmOptOut, replyToHelp } from './replies.ts'
import { recordReplies } from './reply-events.ts'
import {
  listUnconfirmedInbound,
  listUnhandledInbound,
  listWaitingOptOuts,
  type UnhandledInbound,
  type WaitingInbound,
} from './waiting.queries.ts'
import { type BareWord, parseBareWord } from './words.ts'

type InboundRuntime = Pick<Runtime, 'db' | 'clock' | 'log'>

/** Maximum number of MOs interpreted, and of opt-outs confirmed, concurrently. */
const maxConcurrent = 50

/** Maximum number of MOs searched for opt-outs in one transaction. */
const batchSize = 250

/** Maximum number of MOs of an opt-out's phone that are read with it. */
const maxOfPhone = 50

/** A copy of an MO that was not acknowledged counts as the same MO for this long: carriers give up after a day. */
const redeliveryMs = 24 * 3_600_000

/**
 * Stores an MO for `interpretInbound` and returns its problem and its id, which for a copy of an unacknowledged MO is the id of
 * that one. Callers must not respond to the SMSC before it returns.
 */
export async function storeInbound(db: Db, mo: NewInbound): Promise<StoredInbound> {
  const since = new Date(mo.receivedAt.getTime() - redeliveryMs)
  const isOptOut = wordOfText(mo) === 'opt_out'
  for (;;) {
    const stored = await insertInbound(db, mo, { isOptOut, since })
    if (stored) return stored
    if (mo.deliveryKey) await endRedelivery(db, mo.deliveryKey, since)
  }
}

/** Returns the kind of word that a text is. A part of a longer text is 'other', because it is never interpreted by itself. */
export function wordOfText({ content, part }: Pick<NewInbound, 'content' | 'part'>): BareWord {
  const { total = null, number = null } = part ?? {}
  // a text of one part is no part, whatever its number is; some SMSCs write a total of 0
  return wordOf({ content, isPart: total === null ? (number ?? 0) > 1 : total > 1 })
}

/** A part of a longer text is never interpreted by itself: ` end` would be an opt-out. */
function wordOf(mo: Pick<Inbound, 'content' | 'isPart'>): BareWord {
  return mo.isPart ? 'other' : parseBareWord(mo.content)
}

/**
 * Interprets waiting MOs, and returns whether it made progress. Opt-outs come first, with what their phones sent before them,
 * however many MOs of other phones wait. The MOs of a phone are interpreted in order of arrival, and destinations take
 * turns. Confirmations come last, because a STOP must take effect soon and its confirmation may wait;
 * `onOptedOut` is called in between. A phone whose opt-out is not in force yet does not delay others. It is checked again in
 * the next call; until then, its HELP waits.
 */
export async function interpretInbound(rt: InboundRuntime, onOptedOut = async () => {}): Promise<boolean> {
  const handled = new Map<number, BareWord>()
  const interpretAll = async (waiting: UnhandledInbound[]) => {
    const ofBatch = await handleBatch(rt, waiting)
    for (const [id, word] of ofBatch) handled.set(id, word)
    if (ofBatch.size > 0) await onOptedOut()
    return (await handleSome(rt, firstOfEach(waiting, ofBatch), interpret)) || ofBatch.size > 0
  }
  let hasProgress = false
  // MOs that cannot be handled now must not keep the ones behind them from being read
  for (let after: number | null = 0; after !== null; ) {
    const optOuts = await listWaitingOptOuts(rt.db, after, batchSize, maxOfPhone)
    hasProgress = await interpretAll(optOuts)
    after = optOuts[0]?.last ?? null
    if (hasProgress && after !== null) return true
  }
  for await (const { codes, isLast } of turnsOfDestinations(rt.db, batchSize)) {
    for (let pages = codes.map((code) => ({ code, after: 0 })); pages.length > 0; ) {
      const share = Math.max(1, Math.floor(batchSize / pages.length))
      const unhandled = await listUnhandledInbound(rt.db, pages, share)
      hasProgress = (await interpretAll(unhandled)) || hasProgress
      pages = nextPages(unhandled, share)
      // with a full batch, more MOs are likely to wait, and confirmations come after all of them
      if (hasProgress && pages.length > 0) return true
    }
    if (hasProgress && !isLast) return true
  }
  // the opt-outs of this call are confirmed in the next one
  const unconfirmed = await listUnconfirmedInbound(rt.db, batchSize)
  return (await handleSome(rt, firstOfEach(unconfirmed, handled), confirmOptOut)) || hasProgress
}

const keyOf = ({ phone, shortCode }: WaitingInbound) => `${phone} ${shortCode}`

/**
 * Returns the first MO of each phone and short code, except the handled ones and those of a phone whose opt-out is not confirmed
 * yet.
 */
function firstOfEach<T extends WaitingInbound & { isBehind?: boolean }>(
  waiting: T[],
  handled: ReadonlyMap<number, BareWord> = new Map(),
): T[] {
  const first = new Map<string, T>()
  const behind = new Set<string>()
  for (const each of waiting) {
    const key = keyOf(each)
    if (each.isBehind || handled.get(each.id) === 'opt_out') behind.add(key)
    if (!handled.has(each.id) && !first.has(key)) first.set(key, each)
  }
  return [...first].filter(([key]) => !behind.has(key)).map(([, each]) => each)
}

/**
 * Applies all opt-outs among these MOs and marks texts without effect and repeated HELPs in one transaction, and returns their
 * words by id. With many MOs, this takes a tenth of the time of one transaction per MO. If it fails, it returns none; then MOs
 * are interpreted one by one.
 */
async function handleBatch(rt: InboundRuntime, unhandled: WaitingInbound[]): Promise<Map<number, BareWord>> {
  if (unhandled.length === 0) return new Map()
  try {
    return await retryLostRaces(() => rt.db.tx((tx) => optOutBatch(tx, rt, unhandled, rt.clock.now())))
  } catch (error) {
    rt.log.warn({ err: error }, 'failed to apply opt-outs as a batch, retrying one by one')
    return new Map()
  }
}

async function optOutBatch(
  tx: Db,
  rt: InboundRuntime,
  unhandled: WaitingInbound[],
  at: Date,
): Promise<Map<number, BareWord>> {
  const ids = unhandled.map((each) => each.id)
  const claimed = new Map((await claimUnhandled(tx, ids)).map((mo) => [mo.id, mo]))
  const handled = new Map<number, BareWord>()
  let queues = [...Map.groupBy(unhandled, keyOf).values()].map((waiting) => claimedOf(waiting, claimed))
  // the MOs of each phone and short code in order of arrival: in each round the next ones of one kind
  while (queues.length > 0) {
    const runs = queues.map(nextRun)
    const stops = runs.flatMap(({ word, mos }) => (word === 'opt_out' ? mos : []))
    for (const mos of Map.groupBy(stops, (mo) => `${mo.connectionId} ${mo.shortCode}`).values())
      await optOutSenders(tx, rt, await findDestination(tx, mos[0] as Inbound), mos, at)
    const optIns = await findOptIns(
      tx,
      runs.flatMap(({ word, mos }) => (word === 'other' ? mos : [])),
    )
    queues = []
    for (const { word, mos, rest } of runs) {
      // the first HELP gets a reply, and the ones right behind it none; an opt-in is applied alone
      const [from, to] = word === 'help' ? [1, mos.length] : [0, mos.findIndex((mo) => optIns.has(mo.id))]
      for (const mo of mos.slice(from, to < 0 ? mos.length : to)) handled.set(mo.id, word)
      if (rest.length > 0 && (word === 'help' || to < 0)) queues.push(rest)
    }
  }
  // texts without effect are marked here as well, because a STOP after many of them must take effect soon
  const idsOf = (kind: BareWord) => [...handled].filter(([, word]) => word === kind).map(([id]) => id)
  for (const kind of ['other', 'help'] as const) await markIgnored(tx, idsOf(kind), kind, at)
  const others = idsOf('other').flatMap((id) => claimed.get(id) ?? [])
  await recordReplies(
    tx,
    others.sort((a, b) => a.id - b.id),
    at,
  )
  return handled
}

/** Returns the claimed ones of these MOs, up to the first one that another gateway has locked. */
function claimedOf(waiting: WaitingInbound[], claimed: ReadonlyMap<number, Inbound>): Inbound[] {
  const mos = waiting.map(({ id }) => claimed.get(id))
  const end = mos.indexOf(undefined)
  return mos.slice(0, end < 0 ? mos.length : end) as Inbound[]
}

type Run = { word: 'opt_out' | 'help' | 'other'; mos: Inbound[]; rest: Inbound[] }

/** Returns the first MOs of a queue that are of one kind, and the others; an opt-in counts as any other text. */
function nextRun(queue: Inbound[]): Run {
  const words = queue.map((mo) => {
    const word = wordOf(mo)
    return word === 'opt_in' ? 'other' : word
  })
  const word = words[0] ?? 'other'
  const end = words.findIndex((each) => each !== word)
  return end < 0 ? { word, mos: queue, rest: [] } : { word, mos: queue.slice(0, end), rest: queue.slice(end) }
}

/**
 * Opts the senders out of the short codes. They are confirmed later, when texts in flight have their responses. Without a short
 * code, the opt-outs wait until one is added, or until an operator applies them.
 */
async function optOutSenders(
  tx: Db,
  rt: InboundRuntime,
  { codes, isKnown }: InboundDestination,
  mos: Inbound[],
  at: Date,
): Promise<void> {
  const [{ shortCode, connectionId }] = mos as [Inbound]
  const fields = { connection_id: connectionId, mos: mos.map(({ id }) => id), destination: shortCode.slice(0, 6) }
  if (codes.length === 0) {
    carrierLines(rt.log).warn(
      connectionId,
      fields,
      'opt-out to an unknown destination without a sender, listed for operators',
    )
    await markUnapplied(
      tx,
      mos.map(({ id }) => id),
      at,
    )
    return
  }
  if (!isKnown)
    carrierLines(rt.log).warn(
      connectionId,
      fields,
      'opt-out to an unknown destination, applied to every sender of its connection',
    )
  // one opt-out per phone, even if it sent several: no opt-in between them lifts the block
  const ofPhones = [...Map.groupBy(mos, (mo) => mo.phone).values()]
  const senders = ofPhones.map((ofPhone) => {
    const { id, phone, content } = ofPhone.at(-1) as Inbound
    // a copy may be a newer STOP with the same octets, so no opt-in that has arrived by now lifts its block
    const hasCopies = ofPhone.some(({ redeliveries }) => redeliveries > 0)
    return { phone, wording: content.slice(0, 200), actor: `mo:${id}`, moId: hasCopies ? null : id }
  })
  const lists = new Map<number, number>()
  for (const code of codes) {
    for (const { phone } of await optOutOfShortCode(tx, code, { senders, method: 'stop', at }))
      lists.set(phone, (lists.get(phone) ?? 0) + 1)
  }
  // the first one of a phone is confirmed
  const optOuts = ofPhones.flatMap((ofPhone) =>
    ofPhone.map(({ id, phone }, n) => ({ id, listsLeft: n === 0 ? (lists.get(phone) ?? 0) : 0 })),
  )
  await markOptedOut(tx, optOuts, at)
}

/**
 * Handles up to 50 MOs, or as many more as it takes until one makes progress: those that fail each time must not delay the ones
 * behind them. Returns whether one made progress.
 */
async function handleSome(rt: InboundRuntime, waiting: WaitingInbound[], handle: typeof interpret): Promise<boolean> {
  for (let from = 0; from < waiting.length; from += maxConcurrent) {
    if (await handleEach(rt, waiting.slice(from, from + maxConcurrent), handle)) return true
  }
  return false
}

/**
 * Handles MOs concurrently, each in its own transaction, and returns whether one made progress. A failed one is retried in
 * the next call and does not affect the others.
 */
async function handleEach(rt: InboundRuntime, waiting: WaitingInbound[], handle: typeof interpret): Promise<boolean> {
  const outcomes = await Promise.allSettled(
    waiting.map((each) => retryLostRaces(() => rt.db.tx((tx) => handle(tx, rt, each)))),
  )
  const failure = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failure) rt.log.warn({ err: failure.reason }, 'failed to interpret an MO, retrying')
  return outcomes.some((outcome) => outcome.status === 'fulfilled' && outcome.value)
}

async function interpret(tx: Db, rt: InboundRuntime, waiting: WaitingInbound): Promise<boolean> {
  const mo = await claimInbound(tx, waiting, false)
  if (!mo) return false
  const at = rt.clock.now()
  const word = wordOf(mo)
  if (word === 'opt_out') {
    await optOutSenders(tx, rt, await findDestination(tx, mo), [mo], at)
  } else if (word === 'help') {
    await markInterpreted(tx, mo.id, word, await replyToHelp(tx, rt, mo, at), at)
  } else {
    const optIn = (await findOptIns(tx, [mo])).get(mo.id)
    const applied = optIn && (await applyOptIn(tx, rt, mo, optIn))
    if (applied === 'waiting') return false
    await markInterpreted(tx, mo.id, applied ? 'opt_in' : 'other', applied?.replyMessageId ?? null, at)
    if (!applied) await recordReplies(tx, [mo], at)
  }
  return true
}
