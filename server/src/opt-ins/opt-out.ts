import { setTimeout as delay } from 'node:timers/promises'
import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { countSubmitting, countUnsubscribes, type OptOutScope, suppressQueued } from '../log/opt-out.queries.ts'
import type { Runtime } from '../runtime.ts'
import { blockNumbers } from '../short-codes/short-codes.queries.ts'
import { findSubscriberState } from '../subscribers/subscribers.queries.ts'
import { recordOptOutsOfNoList } from './blocks.queries.ts'
import { type LeftList, type OptOutSender, optOutOfLists, reservePendingRows } from './opt-out.queries.ts'

export type OptOutInput = {
  accountId: number
  listId: number
  phone: number
  method: 'api'
  source?: string | null
  actor: string
}

/**
 * Opts a number out of a list and returns once the opt-out is in force: no text of the list is sent to it any more, and
 * none is submitting. Returns `was_out` if it had opted out before, `unknown` if it was never on the list.
 */
export async function optOut(
  rt: Pick<Runtime, 'db' | 'clock'>,
  input: OptOutInput,
): Promise<'opted_out' | 'was_out' | 'unknown'> {
  const scope: OptOutScope = { listIds: [input.listId], shortCodeId: null }
  const outcome = await retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      const at = rt.clock.now()
      const { accountId, method, source = null, phone, actor } = input
      const senders = [{ phone, wording: null, actor }]
      const left = await optOutOfLists(tx, { accountId, senders, ...scope, method, source, at })
      if (left.length > 0) {
        await suppressQueued(tx, [phone], scope, at)
        return 'opted_out'
      }
      return (await findSubscriberState(tx, input.listId, input.phone)) ? 'was_out' : 'unknown'
    }),
  )
  if (outcome !== 'unknown') await waitUntilInForce(rt, input.phone, scope)
  return outcome
}

/** A short code with the ids of all its lists. */
export type ShortCodeLists = { shortCodeId: number; accountId: number; listIds: number[] }

/**
 * Opts numbers out of everything that a short code sends: its lists, texts without a list, and queued rows. Each number
 * gets at least one row in the ledger. Returns the lists that each number opted out of. The opt-outs are in force once
 * `isInForce` returns true.
 */
export async function optOutOfShortCode(
  tx: Db,
  code: ShortCodeLists,
  optOuts: { senders: OptOutSender[]; method: 'stop' | 'carrier'; at: Date },
): Promise<LeftList[]> {
  const { accountId, listIds, shortCodeId } = code
  const phones = optOuts.senders.map((sender) => sender.phone)
  // first, because it waits for an add that has locked the block, and what follows then finds the rows of that add
  const moIds = optOuts.senders.map(({ moId = null }) => moId)
  await blockNumbers(tx, shortCodeId, phones, optOuts.at, moIds)
  await reservePendingRows(tx, phones, listIds, optOuts.at)
  const left = await optOutOfLists(tx, { ...optOuts, accountId, listIds, shortCodeId, source: null })
  const leavers = new Set(left.map((each) => each.phone))
  const senders = optOuts.senders.filter((sender) => !leavers.has(sender.phone))
  await recordOptOutsOfNoList(tx, code, { ...optOuts, senders })
  await suppressQueued(tx, phones, code, optOuts.at)
  // the carrier's opt-outs are no replies
  if (leavers.size > 0 && optOuts.method === 'stop') await countUnsubscribes(tx, code, [...leavers], optOuts.at)
  return left
}

/**
 * Waits until no text within the scope is submitting to the number: at most the response deadline or the rest of a
 * lease.
 */
export async function waitUntilInForce(
  rt: Pick<Runtime, 'db' | 'clock'>,
  phone: number,
  scope: OptOutScope,
): Promise<void> {
  while (!(await retryLostRaces(() => isInForce(rt.db, phone, scope, rt.clock.now())))) await delay(20)
}

/**
 * Returns whether a committed opt-out of this scope is in force. It first suppresses rows that are queued again,
 * because a mark that began before the opt-out committed may have locked rows and been undone.
 */
export async function isInForce(db: Db, phone: number, scope: OptOutScope, at: Date): Promise<boolean> {
  await suppressQueued(db, [phone], scope, at)
  return (await countSubmitting(db, phone, scope)) === 0
}
