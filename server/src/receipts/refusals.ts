import { markRefused, type Refused } from '../broadcasts/marks.queries.ts'
import type { Runtime } from '../runtime.ts'
import { optOutByCarrier } from './carrier-opt-outs.ts'

/** Each opt-out is some statements, and all of them hold the locks of the first. */
const optOutsAtATime = 20

/** Records texts that the SMSC refused for good, with what that means for their numbers. */
export async function recordRefused(
  { db, clock }: Pick<Runtime, 'db' | 'clock'>,
  day: string,
  refused: Refused[],
): Promise<void> {
  const optOuts = refused.filter((row) => row.reason === 'opted_out')
  const others = refused.filter((row) => row.reason !== 'opted_out')
  if (others.length > 0) await markRefused(db, day, others)
  for (let from = 0; from < optOuts.length; from += optOutsAtATime) {
    await db.tx(async (tx) => {
      const marked = await markRefused(tx, day, optOuts.slice(from, from + optOutsAtATime))
      await optOutByCarrier(tx, marked, clock.now())
    })
  }
}
