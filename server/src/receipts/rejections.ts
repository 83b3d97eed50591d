import { markRejected, type Rejected } from '../log/marks.queries.ts'
import type { Runtime } from '../runtime.ts'
import { optOutByCarrier, splitOptOuts } from './carrier-opt-outs.ts'

/** Records texts that the SMSC rejected permanently as bounces; depending on the reason, cleans numbers or opts them out. */
export async function recordRejected(
  { db, clock }: Pick<Runtime, 'db' | 'clock'>,
  day: string,
  rejected: Rejected[],
): Promise<void> {
  const { others, optOuts } = splitOptOuts(rejected)
  if (others.length > 0) await markRejected(db, day, others, clock.now())
  for (const optOutBatch of optOuts) {
    await db.tx(async (tx) => {
      const at = clock.now()
      await optOutByCarrier(tx, await markRejected(tx, day, optOutBatch, at), at)
    })
  }
}
