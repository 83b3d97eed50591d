import { retryLostRaces } from '../db/retry.ts'
import { utcDay } from '../lib/clock.ts'
import type { Runtime } from '../runtime.ts'
import { claimSoftBouncers, cleanSoftBouncers, correctSoftBounces } from './soft-bounces.queries.ts'

/** Consecutive soft bounces after which a number counts as dead. The index of soft_bounces has the same value. */
const limit = 7

/**
 * Cleans numbers with too many soft bounces and no delivery in between; returns how many numbers it checked. The
 * message log decides, because the count in soft_bounces is not reset by deliveries.
 */
export async function cleanSoftBounced(rt: Pick<Runtime, 'db' | 'clock'>): Promise<number> {
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      const counts = await claimSoftBouncers(tx, 100, utcDay(rt.clock.now()))
      const dead = counts.filter((each) => each.logged >= limit)
      if (dead.length > 0) await cleanSoftBouncers(tx, dead, rt.clock.now())
      const alive = counts.filter((each) => each.logged < limit)
      if (alive.length > 0) await correctSoftBounces(tx, alive)
      return counts.length
    }),
  )
}
