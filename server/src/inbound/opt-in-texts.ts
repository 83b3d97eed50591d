import type { Db } from '../db/db.ts'
import { sendSystemText } from '../messages/messages.ts'
import { optInAgain } from '../opt-ins/opt-in-again.ts'
import type { Runtime } from '../runtime.ts'
import { findLastListTexts } from './destinations.queries.ts'
import type { Inbound } from './inbound.queries.ts'
import {
  type BlockedOptIn,
  hasUnconfirmedOptOut,
  listBlockedOptIns,
  type OptInCandidate,
} from './opt-in-texts.queries.ts'
import { hasEnoughReplies } from './replies.ts'
import { keywordForm, parseBareWord } from './words.ts'

// START, UNSTOP, YES and keywords of a number that sent STOP. Without a block, these texts have no effect yet.

/**
 * Returns those of these MOs, by id, by which a blocked number opts in again at the short code that they were sent to. Parts of
 * longer texts, and texts to destinations that are not ours, are not among them.
 */
export async function findOptIns(tx: Db, mos: Inbound[]): Promise<Map<number, BlockedOptIn>> {
  const candidates: OptInCandidate[] = []
  for (const { id, shortCode, phone, content, isPart } of mos) {
    const form = parseBareWord(content) === 'opt_in' ? null : keywordForm(content)
    if (!isPart && form !== undefined) candidates.push({ id, shortCode, phone, form })
  }
  if (candidates.length === 0) return new Map()
  return new Map((await listBlockedOptIns(tx, candidates)).map((optIn) => [optIn.id, optIn]))
}

/**
 * Lifts the block of the sender, and sends the welcome for a return to one of the lists that the STOP ended: to the one
 * that texted last. Returns the welcome's message, if any, or `waiting` if an earlier STOP is not confirmed yet. Returns
 * undefined if the number is not blocked any more, or has sent a newer STOP.
 */
export async function applyOptIn(
  tx: Db,
  rt: Pick<Runtime, 'clock'>,
  mo: Inbound,
  optIn: BlockedOptIn,
): Promise<'waiting' | { replyMessageId: number | null } | undefined> {
  const { phone } = mo
  if (await hasUnconfirmedOptOut(tx, phone, mo.shortCode)) return 'waiting'
  const { accountId, shortCodeId, keywordListId } = optIn
  const wording = mo.content.slice(0, 200)
  const at = rt.clock.now()
  const lists = await optInAgain(tx, optIn, { phone, moId: mo.id, wording, keywordListId, at })
  if (!lists) return undefined
  const listIds = lists.map(({ listId }) => listId)
  const last = lists.length > 1 ? await findLastListTexts(tx, phone, listIds) : undefined
  const list = lists.find(({ listId }) => listId === last?.listId) ?? lists[0]
  if (!list?.welcome || (await hasEnoughReplies(tx, mo, at))) return { replyMessageId: null }
  // no reply in the sense of consent: a STOP that arrives now stops it
  const { listId, welcome: content } = list
  const welcome = { accountId, listId, shortCodeId, phone, content, consent: 'not_opted_out' } as const
  return { replyMessageId: await sendSystemText(tx, rt, welcome) }
}
