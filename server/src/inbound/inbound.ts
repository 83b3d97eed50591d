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
  markIgnored,
  markInterpreted,
  markOptedOut,
  type NewInbound,
  type WaitingInbound,
  wasConfirmedSince,
} from './inbound.queries.ts'
import { parseBareWord } from './words.ts'

type Rt = Pick<Runtime, 'db' | 'clock' | 'log'>

const stopText = 'You are unsubscribed and will get no more texts from us. Text HELP for help.'
const helpText = 'Text STOP to get no more texts from us. Msg & data rates may apply.'

/** MOs that are read, and opt-outs that are confirmed, beside each other. */
const atATime = 50

/** MOs that are looked through for opt-outs, which are made together. */
const unreadAtOnce = 250

/** A second STOP within a day of a confirmed one, with nothing left to leave, is not confirmed again. */
const confirmedForMs = 24 * 3_600_000

/** Makes an MO durable and answers its id; only then may it be answered. It is interpreted by interpretInbound. */
export function storeInbound(db: Db, mo: NewInbound): Promise<number> {
  return insertInbound(db, mo)
}

/** Whether this MO asks to be texted no more: it is not answered before that is committed. */
export function isOptOutText(content: string): boolean {
  return parseBareWord(content) === 'opt_out'
}

/**
 * Interprets what waits, one MO per handset and short code and in the order they came, and says whether something moved.
 * Reading comes before confirming: a STOP has to count soon, its confirmation may wait; `onOptedOut` is called in between.
 * A handset whose opt-out is not in force yet does not hold up the others; it is looked at again at the next call, and of
 * what it writes meanwhile to that short code only further opt-outs are read.
 */
export async function interpretInbound(rt: Rt, onOptedOut?: () => Promise<void>): Promise<boolean> {
  const waiting = await listWaitingInbound(rt.db, { unread: unreadAtOnce, optedOut: atATime })
  const unread = waiting.filter((each) => !each.optedOut)
  const gone = await optOutTogether(rt, unread)
  if (gone.size > 0) await onOptedOut?.()
  const others = unread.filter((each) => !each.isBehind && !gone.has(each.id)).slice(0, atATime)
  const read = (await dealWith(rt, others, interpret)) || gone.size > 0
  // in a flood of MOs the confirmations wait for its end
  if (read && unread.length === unreadAtOnce) return true
  const optedOut = waiting.filter((each) => each.optedOut)
  return (await dealWith(rt, optedOut, confirmOptOut)) || read
}

/**
 * Makes all opt-outs among these MOs in one transaction, which in a flood takes a tenth of the time that one each would,
 * passes over those that ask for nothing, and answers the ids of both. Where it fails, they are left to be read one by one.
 */
async function optOutTogether(rt: Rt, unread: WaitingInbound[]): Promise<Set<number>> {
  if (unread.length === 0) return new Set()
  try {
    return new Set(await retryLostRaces(() => rt.db.tx((tx) => leaveTogether(tx, unread, rt.clock.now()))))
  } catch (error) {
    rt.log.warn({ err: error }, 'could not make opt-outs together, making them one by one')
    return new Set()
  }
}

async function leaveTogether(tx: Db, unread: WaitingInbound[], at: Date): Promise<number[]> {
  const ids = unread.map((each) => each.id)
  const words = Map.groupBy(await claimUnhandled(tx, ids), (mo) => parseBareWord(mo.content))
  const stops = words.get('opt_out') ?? []
  // most texts ask for nothing, and a STOP behind a flood of them has to count soon
  const gone = (words.get('other') ?? []).map((mo) => mo.id)
  await markIgnored(tx, gone, at)
  for (const [shortCode, mos] of Map.groupBy(stops, (mo) => mo.shortCode)) {
    const code = await findShortCodeLists(tx, shortCode)
    if (!code) continue
    await leave(tx, code, mos, at)
    gone.push(...mos.map((mo) => mo.id))
  }
  return gone
}

/** The opt-outs themselves. Their confirmations have to wait for texts on their way. */
async function leave(tx: Db, code: ShortCodeLists, mos: Inbound[], at: Date): Promise<void> {
  const leavers = mos.map(({ id, phone, content }) => ({ phone, wording: content.slice(0, 200), actor: `mo:${id}` }))
  const left = await optOutOfShortCode(tx, code, { leavers, method: 'stop', at })
  const lists = Map.groupBy(left, (each) => each.phone)
  const optOuts = mos.map(({ id, phone }) => ({ id, listsLeft: lists.get(phone)?.length ?? 0 }))
  await markOptedOut(tx, optOuts, at)
}

/**
 * Deals with several MOs beside each other, each in a transaction of its own, and says whether one moved. One that fails
 * is there again at the next call, and is no obstacle to the others.
 */
async function dealWith(rt: Rt, waiting: WaitingInbound[], deal: typeof interpret): Promise<boolean> {
  const ends = await Promise.allSettled(
    waiting.map((each) => retryLostRaces(() => rt.db.tx((tx) => deal(tx, rt, each)))),
  )
  const fault = ends.find((end) => end.status === 'rejected')
  if (fault) rt.log.warn({ err: fault.reason }, 'could not interpret an MO, trying again')
  return ends.some((end) => end.status === 'fulfilled' && end.value)
}

async function interpret(tx: Db, rt: Rt, waiting: WaitingInbound): Promise<boolean> {
  const mo = await claimInbound(tx, waiting)
  if (!mo) return false
  const { id } = mo
  const at = rt.clock.now()
  const code = await findShortCodeLists(tx, mo.shortCode)
  const word = parseBareWord(mo.content)
  if (!code || word === 'other') {
    await markInterpreted(tx, id, 'other', null, at)
  } else if (word === 'opt_out') {
    await leave(tx, code, [mo], at)
  } else {
    const texts = await findLastListTexts(tx, mo.phone, code.listIds)
    const answer = await sendAnswer(tx, rt, mo, code, texts?.listId ?? null, texts?.messageHelp || helpText)
    await markInterpreted(tx, id, 'help', answer, at)
  }
  return true
}

async function confirmOptOut(tx: Db, rt: Rt, waiting: WaitingInbound): Promise<boolean> {
  const mo = await claimInbound(tx, waiting)
  if (!mo) return false
  const code = await findShortCodeLists(tx, mo.shortCode)
  const at = rt.clock.now()
  if (code && !(await isInForce(tx, mo.phone, code, at))) return false
  let answer: number | null = null
  const since = new Date(at.getTime() - confirmedForMs)
  if (code && (mo.listsLeft || !(await wasConfirmedSince(tx, mo.phone, mo.shortCode, since)))) {
    const texts = await findLastListTexts(tx, mo.phone, code.listIds)
    answer = await sendAnswer(tx, rt, mo, code, texts?.listId ?? null, texts?.messageStop || stopText)
  }
  await markInterpreted(tx, mo.id, 'opt_out', answer, at)
  return true
}

function sendAnswer(tx: Db, rt: Rt, mo: Inbound, code: ShortCodeLists, listId: number | null, content: string) {
  return sendSystemText(tx, rt, {
    accountId: code.accountId,
    listId,
    shortCodeId: code.shortCodeId,
    phone: mo.phone,
    content,
    consent: 'answer',
  })
}
