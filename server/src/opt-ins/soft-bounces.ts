import { retryLostRaces } from '../db/retry.ts'
import type { Runtime } from '../runtime.ts'
import { claimSoftBouncers, cleanSoftBouncers, correctSoftBounces } from './soft-bounces.queries.ts'

/** So many soft bounces in a row mean that the number is dead. The index of soft_bounces names it too. */
const limit = 7

/**
 * Takes numbers off a list that have bounced softly too often, with no delivery in between; answers how many numbers it
 * looked at. The log decides: the count beside it does not hear of deliveries.
 */
export async function cleanSoftBounced(rt: Pick<Runtime, 'db'>): Promise<number> {
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      const bouncers = await claimSoftBouncers(tx, 100)
      const dead = bouncers.filter((each) => each.shown >= limit)
      if (dead.length > 0) await cleanSoftBouncers(tx, dead)
      const alive = bouncers.filter((each) => each.shown < limit)
      if (alive.length > 0) await correctSoftBounces(tx, alive)
      return bouncers.length
    }),
  )
}
