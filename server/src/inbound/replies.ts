import type { Db } from '../db/db.ts'
import { sendSystemText } from '../messages/messages.ts'
import { isInForce, type ShortCodeLists } from '../opt-ins/opt-out.ts'
import type { Runtime } from '../runtime.ts'
import { findDestination, findLastListTexts, type ReplyTexts } from './destinations.queries.ts'
import { claimInbound, type Inbound, markInterpreted } from './inbound.queries.ts'
import { countRepliesSince, lockConfirmations, wasConfirmedSince, wasHelpedSince } from './replies.queries.ts'
import type { WaitingInbound } from './waiting.queries.ts'

// The replies to STOP and HELP.

type ReplyRuntime = Pick<Runtime, 'clock'>

const defaultStopText = 'You are unsubscribed and will get no more texts from us. Text HELP for help.'
const defaultHelpText = 'Text STOP to get no more texts from us. Msg & data rates may apply.'

/** A STOP within this time of a confirmed one is not confirmed again if it unsubscribed the phone from no list. */
const confirmationIntervalMs = 24 * 3_600_000

/** A STOP that is older than this gets no confirmation: it was applied late, and a late confirmation is just another text. */
const confirmationMaxMs = 3_600_000

/** A HELP within this time of one with a reply gets none: another robot that replies HELP must not cause endless texts. */
const helpIntervalMs = 60_000

/** Maximum number of replies of any kind that a phone gets from a short code within a day: each reply costs money. */
const maxReplies = 10
const replyLimitMs = 24 * 3_600_000

/** Returns whether the phone has got as many replies from the short code as it may within a day. Its texts still take effect. */
export async function hasEnoughReplies(tx: Db, { phone, shortCode }: Inbound, at: Date): Promise<boolean> {
  const since = new Date(at.getTime() - replyLimitMs)
  return (await countRepliesSince(tx, phone, shortCode, since, maxReplies)) >= maxReplies
}

/**
 * Sends the help text and returns its message's id; null without a sender, if the phone had one within the last minute, or
 * if it has enough replies.
 */
export async function replyToHelp(tx: Db, rt: ReplyRuntime, mo: Inbound, at: Date): Promise<number | null> {
  const sender = await findReplySender(tx, mo, (await findDestination(tx, mo)).codes)
  if (!sender) return null
  await lockConfirmations(tx, mo.phone, mo.shortCode)
  if (await wasHelpedSince(tx, mo.phone, mo.shortCode, new Date(at.getTime() - helpIntervalMs))) return null
  if (await hasEnoughReplies(tx, mo, at)) return null
  return sendReply(tx, rt, mo, sender, sender.texts?.messageHelp || defaultHelpText)
}

/**
 * Sends the confirmation of an opt-out that is in force, unless the phone had one lately or it comes too late, and returns
 * whether the opt-out is interpreted now.
 */
export async function confirmOptOut(tx: Db, rt: ReplyRuntime, waiting: WaitingInbound): Promise<boolean> {
  const mo = await claimInbound(tx, waiting, true)
  if (!mo) return false
  const { codes } = await findDestination(tx, mo)
  const at = rt.clock.now()
  for (const code of codes) if (!(await isInForce(tx, mo.phone, code, at))) return false
  await lockConfirmations(tx, mo.phone, mo.shortCode)
  let reply: number | null = null
  const since = new Date(at.getTime() - confirmationIntervalMs)
  const hasLeft = mo.listsLeft && mo.redeliveries === 0
  const isLate = mo.receivedAt.getTime() < at.getTime() - confirmationMaxMs
  const isWanted =
    !isLate && codes.length > 0 && (hasLeft || !(await wasConfirmedSince(tx, mo.phone, mo.shortCode, since)))
  if (isWanted && !(await hasEnoughReplies(tx, mo, at))) {
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

function sendReply(tx: Db, rt: ReplyRuntime, mo: Inbound, { code, texts }: ReplySender, content: string) {
  return sendSystemText(tx, rt, {
    accountId: code.accountId,
    listId: texts?.listId ?? null,
    shortCodeId: code.shortCodeId,
    phone: mo.phone,
    content,
    consent: 'reply',
  })
}
