import { markRejected, type Rejected } from '../log/marks.queries.ts'
import type { Runtime } from '../runtime.ts'
import { cutOptOuts, optOutByCarrier } from './carrier-opt-outs.ts'

/** Records texts that the SMSC rejected for good: the bounces, cleaned numbers and opt-outs. */
export async function recordRejected(
  { db, clock }: Pick<Runtime, 'db' | 'clock'>,
  day: string,
  refused: Rejected[],
): Promise<void> {
  const { others, optOuts } = cutOptOuts(refused)
  if (others.length > 0) await markRejected(db, day, others, clock.now())
  for (const some of optOuts) {
    await db.tx(async (tx) => {
      const at = clock.now()
      await optOutByCarrier(tx, await markRejected(tx, day, some, at), at)
    })
  }
}
