import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { sendSystemText } from '../messages/messages.ts'
import { isInForce, optOutOfShortCode, type ShortCodeLists } from '../opt-ins/opt-out.ts'
import type { Runtime } from '../runtime.ts'
import {
  claimInbound,
  claimUnhandled,
  findLastListTexts,
  findShortCodeLists,
  type Inbound,
  insertInbound,
  listWaitingInbound,
  lockConfirmations,
  markIgnored,
  markInterpreted,
  markOptedOut,
  type NewInbound,
  type WaitingInbound,
  wasConfirmedSince,
} from './inbound.queries.ts'
import { parseBareWord } from './words.ts'

type InboundRuntime = Pick<Runtime, 'db' | 'clock' | 'log'>

const defaultStopText = 'You are unsubscribed and will get no more texts from us. Text HELP for help.'
const defaultHelpText = 'Text STOP to get no more texts from us. Msg & data rates may apply.'

/** Maximum number of MOs interpreted, and of opt-outs confirmed, concurrently. */
const maxConcurrent = 50

/** Maximum number of MOs searched for opt-outs in one transaction. */
const batchSize = 250

/** A STOP within this time of a confirmed one is not confirmed again if it unsubscribed the phone from no list. */
const confirmationIntervalMs = 24 * 3_600_000

/** Stores an MO for `interpretInbound` and returns its id. Callers must not respond to the SMSC before it returns. */
export function storeInbound(db: Db, mo: NewInbound): Promise<number> {
  return insertInbound(db, mo)
}

/** Whether this MO is an opt-out; its deliver_sm_resp waits until the opt-out is committed. */
export function isOptOutText(content: string): boolean {
  return parseBareWord(content) === 'opt_out'
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
 * Applies all opt-outs among these MOs and marks ordinary texts in one transaction, and returns the ids of both. With many MOs,
 * this takes a tenth of the time of one transaction per MO. If it fails, it returns no ids; then MOs are interpreted one by one.
 */
async function handleBatch(rt: InboundRuntime, unhandled: WaitingInbound[]): Promise<Set<number>> {
  if (unhandled.length === 0) return new Set()
  try {
    return new Set(await retryLostRaces(() => rt.db.tx((tx) => optOutBatch(tx, unhandled, rt.clock.now()))))
  } catch (error) {
    rt.log.warn({ err: error }, 'failed to apply opt-outs as a batch, retrying one by one')
    return new Set()
  }
}

async function optOutBatch(tx: Db, unhandled: WaitingInbound[], at: Date): Promise<number[]> {
  const ids = unhandled.map((each) => each.id)
  const byWord = Map.groupBy(await claimUnhandled(tx, ids), (mo) => parseBareWord(mo.content))
  const stops = byWord.get('opt_out') ?? []
  // ordinary texts are marked here as well, because a STOP after many of them must take effect soon
  const handled = (byWord.get('other') ?? []).map((mo) => mo.id)
  await markIgnored(tx, handled, at)
  for (const [shortCode, mos] of Map.groupBy(stops, (mo) => mo.shortCode)) {
    const code = await findShortCodeLists(tx, shortCode)
    if (!code) continue
    await optOutSenders(tx, code, mos, at)
    handled.push(...mos.map((mo) => mo.id))
  }
  return handled
}

/** Opts the senders out of the short code. They are confirmed later, when texts in flight have their responses. */
async function optOutSenders(tx: Db, code: ShortCodeLists, mos: Inbound[], at: Date): Promise<void> {
  const senders = mos.map(({ id, phone, content }) => ({ phone, wording: content.slice(0, 200), actor: `mo:${id}` }))
  const unsubscribed = await optOutOfShortCode(tx, code, { senders, method: 'stop', at })
  const lists = Map.groupBy(unsubscribed, (each) => each.phone)
  const optOuts = mos.map(({ id, phone }) => ({ id, listsLeft: lists.get(phone)?.length ?? 0 }))
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
  const code = await findShortCodeLists(tx, mo.shortCode)
  const word = parseBareWord(mo.content)
  if (!code || word === 'other') {
    await markInterpreted(tx, id, 'other', null, at)
  } else if (word === 'opt_out') {
    await optOutSenders(tx, code, [mo], at)
  } else {
    const texts = await findLastListTexts(tx, mo.phone, code.listIds)
    const reply = await sendReply(tx, rt, mo, code, texts?.listId ?? null, texts?.messageHelp || defaultHelpText)
    await markInterpreted(tx, id, 'help', reply, at)
  }
  return true
}

async function confirmOptOut(tx: Db, rt: InboundRuntime, waiting: WaitingInbound): Promise<boolean> {
  const mo = await claimInbound(tx, waiting)
  if (!mo) return false
  const code = await findShortCodeLists(tx, mo.shortCode)
  const at = rt.clock.now()
  if (code && !(await isInForce(tx, mo.phone, code, at))) return false
  await lockConfirmations(tx, mo.phone, mo.shortCode)
  let reply: number | null = null
  const since = new Date(at.getTime() - confirmationIntervalMs)
  if (code && (mo.listsLeft || !(await wasConfirmedSince(tx, mo.phone, mo.shortCode, since)))) {
    const texts = await findLastListTexts(tx, mo.phone, code.listIds)
    reply = await sendReply(tx, rt, mo, code, texts?.listId ?? null, texts?.messageStop || defaultStopText)
  }
  await markInterpreted(tx, mo.id, 'opt_out', reply, at)
  return true
}

function sendReply(
  tx: Db,
  rt: InboundRuntime,
  mo: Inbound,
  code: ShortCodeLists,
  listId: number | null,
  content: string,
) {
  return sendSystemText(tx, rt, {
    accountId: code.accountId,
    listId,
    shortCodeId: code.shortCodeId,
    phone: mo.phone,
    content,
    consent: 'reply',
  })
}
