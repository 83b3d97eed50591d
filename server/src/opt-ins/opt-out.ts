import { setTimeout as delay } from 'node:timers/promises'
import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import type { Runtime } from '../runtime.ts'
import { findSubscriberState } from '../subscribers/state.queries.ts'
import { countInFlight, leaveLists, type Scope, suppressQueued } from './opt-out.queries.ts'

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
  const scope: Scope = { listIds: [input.listId], shortCodeId: null }
  const outcome = await retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      const at = rt.clock.now()
      const left = await leaveLists(tx, {
        ...input,
        listIds: scope.listIds,
        source: input.source ?? null,
        wording: null,
        at,
      })
      if (left.length > 0) {
        await suppressQueued(tx, input.phone, scope, at)
        return 'opted_out'
      }
      return (await findSubscriberState(tx, input.listId, input.phone)) ? 'was_out' : 'unknown'
    }),
  )
  if (outcome !== 'unknown') await untilInForce(rt, input.phone, scope)
  return outcome
}

/** Waits until nothing within the scope is on its way to the number; at most a response deadline or a lease. */
export async function untilInForce(rt: Pick<Runtime, 'db' | 'clock'>, phone: number, scope: Scope): Promise<void> {
  while (!(await retryLostRaces(() => isInForce(rt.db, phone, scope, rt.clock.now())))) await delay(20)
}

/**
 * Whether a committed opt-out of this scope is in force. What slipped into the queue meanwhile is taken out first: a
 * mark that began before the opt-out committed may still have been holding it.
 */
export async function isInForce(db: Db, phone: number, scope: Scope, at: Date): Promise<boolean> {
  await suppressQueued(db, phone, scope, at)
  return (await countInFlight(db, phone, scope)) === 0
}
