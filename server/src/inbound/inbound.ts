import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { sendSystemText } from '../messages/messages.ts'
import { countUnsubscribes, foreseeImports, leaveLists, suppressQueued } from '../opt-ins/opt-out.queries.ts'
import { isInForce } from '../opt-ins/opt-out.ts'
import type { Runtime } from '../runtime.ts'
import {
  claimInbound,
  findLastListTexts,
  findShortCodeLists,
  type Inbound,
  insertInbound,
  listWaitingInbound,
  markInterpreted,
  markOptedOut,
  type NewInbound,
  type ShortCodeLists,
  wasConfirmedSince,
} from './inbound.queries.ts'
import { readWord } from './words.ts'

type Rt = Pick<Runtime, 'db' | 'clock' | 'log'>

const stopText = 'You are unsubscribed and will get no more texts from us. Text HELP for help.'
const helpText = 'Text STOP to get no more texts from us. Msg & data rates may apply.'

/** A second STOP within a day of a confirmed one, with nothing left to leave, is not confirmed again. */
const confirmedForMs = 24 * 3_600_000

/** Makes an MO durable; only then may it be answered. It is interpreted by interpretInbound. */
export function storeInbound(db: Db, mo: NewInbound): Promise<void> {
  return insertInbound(db, mo)
}

/**
 * Interprets what waits, one MO per handset and in the order they came, and says whether something moved. A handset
 * whose opt-out is not in force yet does not hold up the others; it is looked at again at the next call.
 */
export async function interpretInbound(rt: Rt): Promise<boolean> {
  const waiting = await listWaitingInbound(rt.db, 50)
  const moved = await Promise.all(
    waiting.map(async ({ id, optedOut }) => {
      if (optedOut) return confirmOptOut(rt, id)
      return retryLostRaces(() => rt.db.tx((tx) => interpret(tx, rt, id)))
    }),
  )
  return moved.some(Boolean)
}

async function interpret(tx: Db, rt: Rt, id: number): Promise<boolean> {
  const mo = await claimInbound(tx, id)
  if (!mo) return false
  const at = rt.clock.now()
  const code = await findShortCodeLists(tx, mo.shortCode)
  const word = readWord(mo.content)
  if (!code || word === 'other') {
    await markInterpreted(tx, id, 'other', null, at)
  } else if (word === 'opt_out') {
    await leaveEveryList(tx, mo, code, at)
  } else {
    const texts = await findLastListTexts(tx, mo.phone, code.listIds)
    const answer = await sendAnswer(tx, rt, mo, code, texts?.listId ?? null, texts?.messageHelp || helpText)
    await markInterpreted(tx, id, 'help', answer, at)
  }
  return true
}

/** The opt-out itself, from every list of the short code; its confirmation has to wait for texts on their way. */
async function leaveEveryList(tx: Db, mo: Inbound, code: ShortCodeLists, at: Date): Promise<void> {
  await foreseeImports(tx, mo.phone, code.listIds)
  const left = await leaveLists(tx, {
    accountId: code.accountId,
    phone: mo.phone,
    listIds: code.listIds,
    method: 'stop',
    source: null,
    wording: mo.content.slice(0, 200),
    actor: `mo:${mo.id}`,
    at,
  })
  await suppressQueued(tx, mo.phone, code.listIds, at)
  if (left.length > 0) await countUnsubscribes(tx, mo.phone, left)
  await markOptedOut(tx, mo.id, left.length, at)
}

async function confirmOptOut(rt: Rt, id: number): Promise<boolean> {
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      const mo = await claimInbound(tx, id)
      if (!mo) return false
      const code = await findShortCodeLists(tx, mo.shortCode)
      if (code && !(await isInForce({ ...rt, db: tx }, mo.phone, code.listIds))) return false
      const at = rt.clock.now()
      let answer: number | null = null
      const since = new Date(at.getTime() - confirmedForMs)
      if (code && (mo.listsLeft || !(await wasConfirmedSince(tx, mo.phone, mo.shortCode, since)))) {
        const texts = await findLastListTexts(tx, mo.phone, code.listIds)
        answer = await sendAnswer(tx, rt, mo, code, texts?.listId ?? null, texts?.messageStop || stopText)
      }
      await markInterpreted(tx, id, 'opt_out', answer, at)
      return true
    }),
  )
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
