import { setTimeout as delay } from 'node:timers/promises'
import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { countInFlight, countUnsubscribes, type OptOutScope, suppressQueued } from '../log/opt-out.queries.ts'
import type { Runtime } from '../runtime.ts'
import { blockNumbers } from '../short-codes/short-codes.queries.ts'
import { findSubscriberState } from '../subscribers/subscribers.queries.ts'
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
 * Takes a number off a list and returns when that is in force: no text of the list goes to it any more, and none is on
 * its way. `was_out` when it had left before, `unknown` when it never was on the list.
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
      const leavers = [{ phone, wording: null, actor }]
      const left = await optOutOfLists(tx, { accountId, leavers, listIds: scope.listIds, method, source, at })
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

/** A short code with all its lists. */
export type ShortCodeLists = { shortCodeId: number; accountId: number; listIds: number[] }

/**
 * Opts numbers out of all that a short code sends: of its lists, of texts that go to no list, and of what is queued for
 * them. Answers who left which list. In force is that when `isInForce` says so.
 */
export async function optOutOfShortCode(
  tx: Db,
  code: ShortCodeLists,
  given: { leavers: OptOutSender[]; method: 'stop' | 'carrier'; at: Date },
): Promise<LeftList[]> {
  const { accountId, listIds, shortCodeId } = code
  const phones = given.leavers.map((leaver) => leaver.phone)
  await reservePendingRows(tx, phones, listIds)
  const left = await optOutOfLists(tx, { ...given, accountId, listIds, source: null })
  await blockNumbers(tx, shortCodeId, phones, given.at)
  await suppressQueued(tx, phones, code, given.at)
  if (left.length > 0) await countUnsubscribes(tx, left)
  return left
}

/** Waits until nothing within the scope is on its way to the number; at most a response deadline or a lease. */
export async function waitUntilInForce(
  rt: Pick<Runtime, 'db' | 'clock'>,
  phone: number,
  scope: OptOutScope,
): Promise<void> {
  while (!(await retryLostRaces(() => isInForce(rt.db, phone, scope, rt.clock.now())))) await delay(20)
}

/**
 * Whether a committed opt-out of this scope is in force. What slipped into the queue meanwhile is taken out first: a
 * mark that began before the opt-out committed may still have been holding it.
 */
export async function isInForce(db: Db, phone: number, scope: OptOutScope, at: Date): Promise<boolean> {
  await suppressQueued(db, [phone], scope, at)
  return (await countInFlight(db, phone, scope)) === 0
}
