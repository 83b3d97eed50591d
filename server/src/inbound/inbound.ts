import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { sendSystemText } from '../messages/messages.ts'
import { isInForce, optOutOfShortCode, type ShortCodeLists } from '../opt-ins/opt-out.ts'
import type { Runtime } from '../runtime.ts'
import {
  claimInbound,
  claimUnhandled,
  endRedelivery,
  findLastListTexts,
  findShortCodeLists,
  type Inbound,
  insertInbound,
  listServedShortCodes,
  listWaitingInbound,
  lockConfirmations,
  markIgnored,
  markInterpreted,
  markOptedOut,
  type NewInbound,
  type ReplyTexts,
  type WaitingInbound,
  wasConfirmedSince,
  wasHelpedSince,
} from './inbound.queries.ts'
import { applyOptIn, findOptIns } from './opt-in-texts.ts'
import { type BareWord, parseBareWord } from './words.ts'

type InboundRuntime = Pick<Runtime, 'db' | 'clock' | 'log'>

const defaultStopText = 'You are unsubscribed and will get no more texts from us. Text HELP for help.'
const defaultHelpText = 'Text STOP to get no more texts from us. Msg & data rates may apply.'

/** Maximum number of MOs interpreted, and of opt-outs confirmed, concurrently. */
const maxConcurrent = 50

/** Maximum number of MOs searched for opt-outs in one transaction. */
const batchSize = 250

/** A STOP within this time of a confirmed one is not confirmed again if it unsubscribed the phone from no list. */
const confirmationIntervalMs = 24 * 3_600_000

/** A HELP within this time of one with a reply gets none: another robot that replies HELP must not cause endless texts. */
const helpIntervalMs = 60_000

/** A copy of an MO that was not acknowledged counts as the same MO for this long: carriers give up after a day. */
const redeliveryMs = 24 * 3_600_000

/**
 * Stores an MO for `interpretInbound` and returns its id, which for a copy of an unacknowledged MO is the id of that one. Callers
 * must not respond to the SMSC before it returns.
 */
export async function storeInbound(db: Db, mo: NewInbound): Promise<number> {
  const since = new Date(mo.receivedAt.getTime() - redeliveryMs)
  for (;;) {
    const id = await insertInbound(db, mo, since)
    if (id !== undefined) return id
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
 * Interprets waiting MOs, one per phone and short code and in order of arrival, and returns whether it made progress.
 * Opt-outs come before confirmations, because a STOP must take effect soon and its confirmation may wait; `onOptedOut` is
 * called in between. A phone whose opt-out is not in force yet does not delay others. It is checked again in the next call;
 * until then, only further opt-outs from that phone to that short code are interpreted.
 */
export async function interpretInbound(rt: InboundRuntime, onOptedOut?: () => Promise<void>): Promise<boolean> {
  const waiting = await listWaitingInbound(rt.db, { unhandled: batchSize, optedOut: maxConcurrent })
  const unhandled = waiting.filter((each) => !each.optedOut)
  const handled = await handleBatch(rt, unhandled)
  if (handled.size > 0) await onOptedOut?.()
  const others = unhandled.filter((each) => !each.isBehind && !handled.has(each.id)).slice(0, maxConcurrent)
  const hasProgress = (await handleEach(rt, others, interpret)) || handled.size > 0
  // with a full batch, more MOs are likely to wait, and confirmations come after all of them
  if (hasProgress && unhandled.length === batchSize) return true
  const optedOut = waiting.filter((each) => each.optedOut)
  return (await handleEach(rt, optedOut, confirmOptOut)) || hasProgress
}

/**
 * Applies all opt-outs among these MOs and marks texts without effect in one transaction, and returns the ids of both. With many MOs,
 * this takes a tenth of the time of one transaction per MO. If it fails, it returns no ids; then MOs are interpreted one by one.
 */
async function handleBatch(rt: InboundRuntime, unhandled: WaitingInbound[]): Promise<Set<number>> {
  if (unhandled.length === 0) return new Set()
  try {
    return new Set(await retryLostRaces(() => rt.db.tx((tx) => optOutBatch(tx, rt, unhandled, rt.clock.now()))))
  } catch (error) {
    rt.log.warn({ err: error }, 'failed to apply opt-outs as a batch, retrying one by one')
    return new Set()
  }
}

async function optOutBatch(tx: Db, rt: InboundRuntime, unhandled: WaitingInbound[], at: Date): Promise<number[]> {
  const ids = unhandled.map((each) => each.id)
  const byWord = Map.groupBy(await claimUnhandled(tx, ids), wordOf)
  const stops = byWord.get('opt_out') ?? []
  const handled: number[] = []
  for (const mos of Map.groupBy(stops, (mo) => `${mo.connectionId} ${mo.shortCode}`).values()) {
    const destination = await findDestination(tx, mos[0] as Inbound)
    if (destination.codes.length === 0) continue
    await optOutSenders(tx, rt, destination, mos, at)
    handled.push(...mos.map((mo) => mo.id))
  }
  // texts without effect are marked here as well, because a STOP after many of them must take effect soon
  const others = [...(byWord.get('other') ?? []), ...(byWord.get('opt_in') ?? [])]
  const optIns = await findOptIns(tx, others)
  const ignored = others.map((mo) => mo.id).filter((id) => !optIns.has(id))
  await markIgnored(tx, ignored, at)
  return [...handled, ...ignored]
}

/** The short codes that an MO concerns; `isKnown` if its destination is one of ours. */
type Destination = { codes: ShortCodeLists[]; isKnown: boolean }

/**
 * Returns the short code that an MO was sent to, or, if it is not one of ours, all that send through its connection: some carriers
 * write the destination in another form, and a STOP to one of them must not be lost.
 */
async function findDestination(tx: Db, { shortCode, connectionId }: Inbound): Promise<Destination> {
  const code = await findShortCodeLists(tx, shortCode)
  return code
    ? { codes: [code], isKnown: true }
    : { codes: await listServedShortCodes(tx, connectionId), isKnown: false }
}

/** Opts the senders out of the short codes. They are confirmed later, when texts in flight have their responses. */
async function optOutSenders(
  tx: Db,
  rt: InboundRuntime,
  { codes, isKnown }: Destination,
  mos: Inbound[],
  at: Date,
): Promise<void> {
  const [{ shortCode, connectionId }] = mos as [Inbound]
  if (!isKnown) {
    const fields = { connection_id: connectionId, mos: mos.map(({ id }) => id), destination: shortCode.slice(0, 6) }
    rt.log.warn(fields, 'opt-out to an unknown destination, applied to every sender of its connection')
  }
  const senders = mos.map(({ id, phone, content, redeliveries }) => {
    // a copy may be a newer STOP with the same octets, so no opt-in that has arrived by now lifts its block
    return { phone, wording: content.slice(0, 200), actor: `mo:${id}`, moId: redeliveries > 0 ? null : id }
  })
  const lists = new Map<number, number>()
  for (const code of codes) {
    for (const { phone } of await optOutOfShortCode(tx, code, { senders, method: 'stop', at }))
      lists.set(phone, (lists.get(phone) ?? 0) + 1)
  }
  const optOuts = mos.map(({ id, phone }) => ({ id, listsLeft: lists.get(phone) ?? 0 }))
  await markOptedOut(tx, optOuts, at)
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
  const mo = await claimInbound(tx, waiting)
  if (!mo) return false
  const { id } = mo
  const at = rt.clock.now()
  const destination = await findDestination(tx, mo)
  const { codes } = destination
  const word = wordOf(mo)
  if (word === 'opt_out' && codes.length > 0) {
    await optOutSenders(tx, rt, destination, [mo], at)
  } else if (word === 'help' && codes.length > 0) {
    const sender = await findReplySender(tx, mo, codes)
    const reply = sender ? await replyToHelp(tx, rt, mo, sender, at) : null
    await markInterpreted(tx, id, sender ? 'help' : 'other', reply, at)
  } else {
    const optIn = (await findOptIns(tx, [mo])).get(id)
    const applied = optIn && (await applyOptIn(tx, rt, mo, optIn))
    if (applied === 'waiting') return false
    await markInterpreted(tx, id, applied ? 'opt_in' : 'other', applied?.replyMessageId ?? null, at)
  }
  return true
}

/** Sends the help text and returns its message's id; null if the phone had one within the last minute. */
async function replyToHelp(
  tx: Db,
  rt: InboundRuntime,
  mo: Inbound,
  sender: ReplySender,
  at: Date,
): Promise<number | null> {
  await lockConfirmations(tx, mo.phone, mo.shortCode)
  if (await wasHelpedSince(tx, mo.phone, mo.shortCode, new Date(at.getTime() - helpIntervalMs))) return null
  return sendReply(tx, rt, mo, sender, sender.texts?.messageHelp || defaultHelpText)
}

async function confirmOptOut(tx: Db, rt: InboundRuntime, waiting: WaitingInbound): Promise<boolean> {
  const mo = await claimInbound(tx, waiting)
  if (!mo) return false
  const { codes } = await findDestination(tx, mo)
  const at = rt.clock.now()
  for (const code of codes) if (!(await isInForce(tx, mo.phone, code, at))) return false
  await lockConfirmations(tx, mo.phone, mo.shortCode)
  let reply: number | null = null
  const since = new Date(at.getTime() - confirmationIntervalMs)
  const hasLeft = mo.listsLeft && mo.redeliveries === 0
  if (codes.length > 0 && (hasLeft || !(await wasConfirmedSince(tx, mo.phone, mo.shortCode, since)))) {
    const sender = await findReplySender(tx, mo, codes)
    if (sender) reply = await sendReply(tx, rt, mo, sender, sender.texts?.messageStop || defaultStopText)
  }
  await markInterpreted(tx, mo.id, 'opt_out', reply, at)
  return true
}

type ReplySender = { code: ShortCodeLists; texts: ReplyTexts | undefined }

/** Returns the short code that replies: the only one, or of several the one that sent the latest text to the phone. */
async function findReplySender(tx: Db, mo: Inbound, codes: ShortCodeLists[]): Promise<ReplySender | undefined> {
  const texts = await findLastListTexts(
    tx,
    mo.phone,
    codes.flatMap(({ listIds }) => listIds),
  )
  const code = codes.length === 1 ? codes[0] : codes.find(({ listIds }) => texts && listIds.includes(texts.listId))
  return code && { code, texts }
}

function sendReply(tx: Db, rt: InboundRuntime, mo: Inbound, { code, texts }: ReplySender, content: string) {
  return sendSystemText(tx, rt, {
    accountId: code.accountId,
    listId: texts?.listId ?? null,
    shortCodeId: code.shortCodeId,
    phone: mo.phone,
    content,
    consent: 'reply',
  })
}
