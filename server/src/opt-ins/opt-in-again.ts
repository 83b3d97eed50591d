import type { Db } from '../db/db.ts'
import { findBlockForUpdate, type LeftByStop, liftBlock, listLeftByStop } from './blocks.queries.ts'
import type { ShortCodeLists } from './opt-out.ts'
import { moveSubscriber } from './subscribe.queries.ts'

export type OptInText = {
  phone: number
  moId: number
  wording: string
  /** The list of the keyword that the person texted; null if it was START, UNSTOP or YES. */
  keywordListId: number | null
  at: Date
}

/**
 * Lifts the number's block at the short code because the person texted an opt-in word or a keyword, and subscribes the
 * number again to the lists that its STOP ended (after a keyword, only to the list of that keyword). Returns these lists;
 * undefined if the number is not blocked, or if a STOP arrived after that text.
 */
export async function optInAgain(
  tx: Db,
  { accountId, shortCodeId }: Pick<ShortCodeLists, 'accountId' | 'shortCodeId'>,
  { phone, moId, wording, keywordListId, at }: OptInText,
): Promise<LeftByStop[] | undefined> {
  const block = await findBlockForUpdate(tx, shortCodeId, phone)
  if (!block || block.lastMoId >= moId) return undefined
  const method = keywordListId === null ? 'start' : 'keyword'
  const cause = { accountId, phone, method, wording, actor: `mo:${moId}` } as const
  // before the lift, because it reads the opt-outs since the last one
  const left = await listLeftByStop(tx, shortCodeId, phone)
  const lists = left.filter(({ listId }) => keywordListId === null || listId === keywordListId)
  for (const { listId } of lists) await moveSubscriber(tx, { ...cause, listId, state: 'subscribed', now: at })
  await liftBlock(tx, { ...cause, shortCodeId, at })
  return lists
}
